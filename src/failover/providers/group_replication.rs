//! MySQL Group Replication: the group itself elects.
//!
//! <https://dev.mysql.com/doc/refman/9.4/en/performance-schema-replication-group-members-table.html>

use super::{Row, Rows, endpoint, optional, plain, text};
use crate::backend::control::{ControlConnection, ControlError};
use crate::failover::roster::{Finding, Member};
use crate::failover::verdict::{Answer, Claim};
use std::time::Duration;

/// A primary that was just elected keeps `super_read_only` until it has applied what it has.
const MEMBERS: &str = "SELECT MEMBER_ID, MEMBER_HOST, MEMBER_PORT, MEMBER_STATE, MEMBER_ROLE, \
    @@GLOBAL.server_uuid AS SELF, @@GLOBAL.super_read_only AS SUPER_READ_ONLY, \
    @@GLOBAL.read_only AS READ_ONLY \
    FROM performance_schema.replication_group_members LIMIT 64";

/// The age of the oldest transaction that is being applied.
const LAG: &str = "SELECT COALESCE(MAX(TIMESTAMPDIFF(SECOND, \
    APPLYING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP, NOW(6))), 0) AS LAG \
    FROM performance_schema.replication_applier_status_by_worker \
    WHERE CHANNEL_NAME = 'group_replication_applier' AND APPLYING_TRANSACTION <> ''";

/// Asks a server what it is.
pub(super) async fn ask(connection: &mut ControlConnection) -> Result<Finding, ControlError> {
    let mut finding = read(&connection.query_named(MEMBERS).await?);
    if finding.answer.claim == Claim::Reader {
        let rows = optional(connection, LAG).await?;
        let seconds = rows.first().and_then(|row| text(row, "LAG")?.parse::<i64>().ok());
        // The clocks of two machines differ.
        finding.answer.lag =
            seconds.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    }
    Ok(finding)
}

/// What the group looks like to one of its members.
fn read(rows: &Rows) -> Finding {
    let is = |row: &Row, name, value| text(row, name) == Some(value);
    let here = |row: &&Row| {
        text(row, "MEMBER_ID").is_some_and(|id| !id.is_empty() && Some(id) == text(row, "SELF"))
    };
    let reachable =
        |row: &&Row| is(row, "MEMBER_STATE", "ONLINE") || is(row, "MEMBER_STATE", "RECOVERING");
    let has_quorum = rows.iter().filter(reachable).count() * 2 > rows.len();
    let own = rows.iter().find(here);
    let Some(own) = own.filter(|own| is(own, "MEMBER_STATE", "ONLINE") && has_quorum) else {
        return Answer { claim: Claim::Unfit, lag: None }.into();
    };
    let primaries = rows.iter().filter(|row| is(row, "MEMBER_ROLE", "PRIMARY")).count();
    let off = |name| plain::is_off(text(own, name).map(str::as_bytes));
    let writes = off("SUPER_READ_ONLY") && off("READ_ONLY");
    let claim = match (is(own, "MEMBER_ROLE", "PRIMARY") && writes, primaries) {
        (false, _) => Claim::Reader,
        (true, 1) => Claim::Elected,
        // In multi-primary mode all are: the order of their ids is the same to everybody.
        (true, _) => {
            let mut ids: Vec<_> = rows.iter().filter_map(|row| text(row, "MEMBER_ID")).collect();
            ids.sort_unstable();
            let place = ids.iter().position(|id| Some(*id) == text(own, "MEMBER_ID"));
            Claim::Able(place.and_then(|place| u32::try_from(place).ok()).unwrap_or(u32::MAX))
        }
    };
    let member = |row: &Row| {
        let at = endpoint(text(row, "MEMBER_HOST")?, text(row, "MEMBER_PORT")?)?;
        Some(Member { identity: text(row, "MEMBER_ID").map(Into::into), ..Member::at(at) })
    };
    Finding {
        identity: text(own, "MEMBER_ID").map(Into::into),
        members: Some(rows.iter().filter_map(member).collect()),
        ..Answer { claim, lag: None }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::row;
    use super::*;

    /// A group as member `own` sees it: state and role of each.
    fn group(own: &str, members: &[(&str, &str, &str)], read_only: &str) -> Finding {
        let one = |(id, state, role): &(&str, &str, &str)| {
            row(&[
                ("MEMBER_ID", id),
                ("MEMBER_HOST", "10.0.0.1"),
                ("MEMBER_PORT", "3306"),
                ("MEMBER_STATE", state),
                ("MEMBER_ROLE", role),
                ("SELF", own),
                ("SUPER_READ_ONLY", read_only),
                ("READ_ONLY", "0"),
            ])
        };
        read(&members.iter().map(one).collect())
    }

    #[test]
    fn only_an_online_primary_with_a_quorum_writes() {
        let (up, away) = ("ONLINE", "UNREACHABLE");
        let (primary, secondary) = ("PRIMARY", "SECONDARY");
        let all = [("a", up, primary), ("b", up, secondary), ("c", up, secondary)];
        let claim = |own, members: &[_], ro| group(own, members, ro).answer.claim;
        assert_eq!(claim("a", &all, "0"), Claim::Elected);
        assert_eq!(claim("a", &all, "1"), Claim::Reader, "it still applies its backlog");
        assert_eq!(claim("b", &all, "1"), Claim::Reader);
        let cut_off = [("a", up, primary), ("b", away, secondary), ("c", away, secondary)];
        assert_eq!(claim("a", &cut_off, "0"), Claim::Unfit);
        assert!(group("a", &cut_off, "0").members.is_none(), "its view does not count either");
        let half = [("a", up, primary), ("b", away, secondary)];
        assert_eq!(claim("a", &half, "0"), Claim::Unfit);
        assert_eq!(claim("x", &all, "0"), Claim::Unfit, "it is no member");
        let joining = [("a", "RECOVERING", secondary), ("b", up, primary), ("c", up, secondary)];
        assert_eq!(claim("a", &joining, "1"), Claim::Unfit);
        assert_eq!(group("b", &joining, "0").members.map(|members| members.len()), Some(3));
    }

    #[test]
    fn of_many_primaries_all_choose_the_same() {
        let all = [("b", "ONLINE", "PRIMARY"), ("a", "ONLINE", "PRIMARY")];
        assert_eq!(group("a", &all, "0").answer.claim, Claim::Able(0));
        assert_eq!(group("b", &all, "0").answer.claim, Claim::Able(1));
    }

    #[test]
    fn garbage_is_no_member() {
        let columns = [("MEMBER_ID", "a"), ("MEMBER_STATE", "ONLINE"), ("SELF", "a")];
        for (host, port) in [("", "3306"), ("a b", "3306"), ("db", "70000"), ("db", "NULL")] {
            let mut garbage = row(&columns);
            garbage.extend(row(&[("MEMBER_HOST", host), ("MEMBER_PORT", port)]));
            assert_eq!(read(&vec![garbage]).members, Some(Vec::new()), "{host}:{port}");
        }
        assert_eq!(read(&Rows::new()).answer.claim, Claim::Unfit);
    }
}
