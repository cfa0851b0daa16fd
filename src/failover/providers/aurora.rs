//! Amazon Aurora: instances over one volume; a table tells which there are.
//!
//! <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraMySQL.Reference.ISTables.html>

use super::{Row, Rows, optional, plain, text};
use crate::backend::control::{ControlConnection, ControlError};
use crate::config::Endpoint;
use crate::failover::roster::{Finding, Member};
use crate::failover::verdict::{Answer, Claim};
use std::time::Duration;

const SELF: &str = "SELECT @@aurora_server_id AS SELF, @@innodb_read_only AS READ_ONLY";

/// An instance that has not reported for long is gone, but for the writer, whose row tells when it
/// was one.
const TOPOLOGY: &str = "SELECT SERVER_ID, SESSION_ID, REPLICA_LAG_IN_MILLISECONDS, \
    LAST_UPDATE_TIMESTAMP FROM information_schema.replica_host_status \
    WHERE TIME_TO_SEC(TIMEDIFF(NOW(), LAST_UPDATE_TIMESTAMP)) <= 300 \
    OR SESSION_ID = 'MASTER_SESSION_ID' ORDER BY LAST_UPDATE_TIMESTAMP DESC LIMIT 64";

pub use crate::config::InstanceHost;

/// Asks a server what it is.
pub(super) async fn ask(
    connection: &mut ControlConnection,
    at: &Endpoint,
    instances: Option<&InstanceHost>,
) -> Result<Finding, ControlError> {
    let own = connection.query_named(SELF).await?;
    let rows = optional(connection, TOPOLOGY).await?;
    Ok(read(&own, &rows, at, instances))
}

/// What an instance says of itself and of its cluster. Its own word goes before the table, which
/// may be old.
fn read(own: &Rows, rows: &Rows, at: &Endpoint, instances: Option<&InstanceHost>) -> Finding {
    let own = own.first();
    let Some(id) = own.and_then(|own| text(own, "SELF")).filter(|id| !id.is_empty()) else {
        return Answer { claim: Claim::Unfit, lag: None }.into();
    };
    let writes = own.is_some_and(|own| plain::is_off(text(own, "READ_ONLY").map(str::as_bytes)));
    // In a failover, the former writer's row may still be there: the newest one counts.
    let marked = rows.iter().filter(|row| text(row, "SESSION_ID") == Some("MASTER_SESSION_ID"));
    let newest = marked.max_by_key(|row| text(row, "LAST_UPDATE_TIMESTAMP"));
    let marked = newest.and_then(|row| text(row, "SERVER_ID"));
    let claim = match marked {
        _ if !writes => Claim::Reader,
        // It takes writes, but another one is said to be the writer: only if that one denies it.
        Some(other) if other != id => Claim::Able(0),
        _ => Claim::Writer,
    };
    let lag = rows.iter().find(|row| text(row, "SERVER_ID") == Some(id)).and_then(|row| {
        let milliseconds: f64 = text(row, "REPLICA_LAG_IN_MILLISECONDS")?.parse().ok()?;
        Duration::try_from_secs_f64(milliseconds / 1e3).ok()
    });
    let member = |row: &Row| {
        let id = text(row, "SERVER_ID")?;
        let endpoint = instances?.of(id, at.port)?;
        Some(Member { identity: Some(id.into()), ..Member::at(endpoint) })
    };
    let members: Vec<_> = rows.iter().filter_map(member).collect();
    Finding {
        identity: Some(id.into()),
        members: (!members.is_empty()).then_some(members),
        ..Answer { claim, lag: lag.filter(|_| claim == Claim::Reader) }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::row;
    use super::*;

    fn instance(own: (&str, &str), rows: &[(&str, &str, &str, &str)]) -> Finding {
        let (id, read_only) = own;
        let one = |(id, session, lag, at): &(&str, &str, &str, &str)| {
            row(&[
                ("SERVER_ID", id),
                ("SESSION_ID", session),
                ("REPLICA_LAG_IN_MILLISECONDS", lag),
                ("LAST_UPDATE_TIMESTAMP", at),
            ])
        };
        let own = vec![row(&[("SELF", id), ("READ_ONLY", read_only)])];
        let at = Endpoint::parse("c.cluster-xyz.eu-west-1.rds.amazonaws.com:3306").unwrap();
        let instances = InstanceHost::of_endpoint(&at.host);
        read(&own, &rows.iter().map(one).collect(), &at, instances.as_ref())
    }

    const MASTER: &str = "MASTER_SESSION_ID";
    const OLD: &str = "2026-01-01 10:00:00.000000";
    const NEW: &str = "2026-01-01 10:00:07.000000";

    #[test]
    fn instances_are_found_by_the_pattern_of_the_endpoint() {
        let rows = [("a", MASTER, "0", NEW), ("b", "c0ffee", "18.5", NEW)];
        let b = instance(("b", "1"), &rows);
        assert_eq!(b.answer.claim, Claim::Reader);
        assert_eq!(b.answer.lag, Some(Duration::from_micros(18_500)));
        let members = b.members.unwrap();
        assert_eq!(&*members[0].endpoint.host, "a.xyz.eu-west-1.rds.amazonaws.com");
        assert_eq!(members[0].identity.as_deref(), Some("a"));
        assert_eq!(instance(("a", "0"), &rows).answer.claim, Claim::Writer);
    }

    #[test]
    fn the_newest_row_of_two_writers_counts_but_less_than_the_word_of_the_server() {
        let rows = [("a", MASTER, "0", OLD), ("b", MASTER, "0", NEW)];
        assert_eq!(instance(("b", "0"), &rows).answer.claim, Claim::Writer);
        assert_eq!(instance(("a", "0"), &rows).answer.claim, Claim::Able(0), "the former one");
        assert_eq!(instance(("b", "1"), &rows).answer.claim, Claim::Reader, "not yet");
        assert_eq!(instance(("a", "0"), &[]).answer.claim, Claim::Writer, "no table");
    }

    #[test]
    fn garbage_is_no_member() {
        let rows =
            [("", MASTER, "x", "y"), ("a/b", "", "-1", ""), ("NULL", "NULL", "NULL", "NULL")];
        let finding = instance(("a", "1"), &rows);
        assert_eq!((finding.members, finding.answer.lag), (None, None));
        assert_eq!(instance(("", "0"), &[]).answer.claim, Claim::Unfit);
    }
}
