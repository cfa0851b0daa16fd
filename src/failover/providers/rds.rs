//! Amazon RDS Multi-AZ clusters, and blue/green deployments of RDS and Aurora: both describe
//! themselves in a table of the same name.
//!
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/multi-az-db-clusters-concepts.html>,
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/blue-green-deployments-switching.html>

use super::{Row, Rows, endpoint, optional, plain, settings, text};
use crate::backend::control::{ControlConnection, ControlError};
use crate::config::Endpoint;
use crate::failover::probe::Pace;
use crate::failover::roster::{Finding, Member};
use crate::failover::verdict::{Answer, Claim};

const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', \
    'innodb_read_only', 'server_id', 'server_uuid')";
/// A cluster's has `id`, `endpoint`, `port`; a deployment's also `role`, `status`, `version`.
const TOPOLOGY: &str = "SELECT * FROM mysql.rds_topology LIMIT 64";

/// Asks a server what it is.
pub(super) async fn ask(
    connection: &mut ControlConnection,
    at: &Endpoint,
) -> Result<Finding, ControlError> {
    let said = settings(&connection.query_named(VARIABLES).await?);
    let rows = optional(connection, TOPOLOGY).await?;
    let mut finding = read(&said, &rows, at);
    if finding.answer.claim == Claim::Reader {
        finding.answer.lag = plain::replica_lag(connection).await?;
    }
    Ok(finding)
}

fn read(said: &[(String, String)], rows: &Rows, at: &Endpoint) -> Finding {
    let value = |name| said.iter().find(|(known, _)| known == name).map(|(_, v)| v.as_str());
    let off = |name| plain::is_off(value(name).map(str::as_bytes));
    let claim =
        if off("read_only") && off("innodb_read_only") { Claim::Writer } else { Claim::Reader };
    let is_deployment = rows.iter().any(|row| text(row, "status").is_some());
    let member = |row: &Row| {
        let at = endpoint(text(row, "endpoint")?, text(row, "port")?)?;
        let id = text(row, "id").filter(|_| !is_deployment).map(Into::into);
        Some(Member { identity: id, ..Member::at(at) })
    };
    let members: Vec<_> = rows.iter().filter_map(member).collect();
    let deployment = Deployment::of(rows, at);
    // The numbers of servers are for clusters; a deployment's rows have names of another kind.
    let identity = if is_deployment { value("server_uuid") } else { value("server_id") };
    Finding {
        identity: identity.map(Into::into),
        members: (!members.is_empty()).then_some(members),
        pace: deployment.map_or(Pace::Calm, |deployment| deployment.phase.pace()),
        ..Answer { claim: deployment.map_or(claim, |d| d.amend(claim)), lag: None }.into()
    }
}

/// How far a switchover has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Blue is what clients use.
    Before,
    /// It begins within seconds.
    Initiated,
    /// Nobody writes.
    UnderWay,
    /// Green is what clients use.
    After,
}

impl Phase {
    fn of(status: &str) -> Self {
        match status {
            "SWITCHOVER_INITIATED" => Self::Initiated,
            "SWITCHOVER_IN_PROGRESS" => Self::UnderWay,
            "SWITCHOVER_IN_POST_PROCESSING" | "SWITCHOVER_COMPLETED" => Self::After,
            _ => Self::Before,
        }
    }

    fn pace(self) -> Pace {
        match self {
            Self::Before | Self::After => Pace::Calm,
            Self::Initiated | Self::UnderWay => Pace::Alert,
        }
    }
}

/// A server's place in a blue/green deployment.
#[derive(Debug, Clone, Copy)]
struct Deployment {
    phase: Phase,
    is_green: bool,
}

impl Deployment {
    fn of(rows: &Rows, at: &Endpoint) -> Option<Self> {
        let own = rows.iter().find(|row| {
            let host = text(row, "endpoint").is_some_and(|h| h.eq_ignore_ascii_case(&at.host));
            host && text(row, "port") == Some(&at.port.to_string())
        })?;
        let phase = Phase::of(text(own, "status")?);
        Some(Self { phase, is_green: text(own, "role")?.ends_with("_TARGET") })
    }

    /// What a server's claim counts in this phase. Green may have another schema: nobody reads
    /// there before.
    fn amend(self, claim: Claim) -> Claim {
        match (self.phase, self.is_green) {
            (Phase::Before | Phase::Initiated, false) | (Phase::After, true) => claim,
            _ => Claim::Unfit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::row;
    use super::*;

    fn server(host: &str, read_only: &str, rows: Rows) -> Finding {
        let pairs = [("read_only", read_only), ("innodb_read_only", "OFF"), ("server_id", "7")];
        let said = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        read(&said, &rows, &Endpoint { host: host.into(), port: 3306, zone: None })
    }

    #[test]
    fn a_cluster_lists_its_members_by_number() {
        let rows = vec![
            row(&[("id", "7"), ("endpoint", "a.rds"), ("port", "3306")]),
            row(&[("id", "8"), ("endpoint", "b.rds"), ("port", "3306")]),
            row(&[("id", "9"), ("endpoint", "not a host"), ("port", "3306")]),
        ];
        let finding = server("cluster.rds", "OFF", rows.clone());
        assert_eq!(finding.answer.claim, Claim::Writer);
        assert_eq!(finding.identity.as_deref(), Some("7"));
        assert_eq!(finding.members.map(|members| members.len()), Some(2));
        assert_eq!(server("cluster.rds", "ON", rows).answer.claim, Claim::Reader);
        assert_eq!(server("db.rds", "OFF", Rows::new()).answer.claim, Claim::Writer, "no table");
    }

    #[test]
    fn a_switchover_holds_writes_and_moves_them_to_green() {
        let claims = |status: &str, read_only: (&str, &str)| {
            let rows: Rows = [("blue.rds", "SOURCE"), ("green.rds", "TARGET")]
                .map(|(host, role)| {
                    let role = format!("BLUE_GREEN_DEPLOYMENT_{role}");
                    row(&[
                        ("endpoint", host),
                        ("port", "3306"),
                        ("role", &role),
                        ("status", status),
                    ])
                })
                .into();
            let blue = server("blue.rds", read_only.0, rows.clone());
            let green = server("green.rds", read_only.1, rows);
            assert_eq!(blue.pace, green.pace);
            (blue.answer.claim, green.answer.claim, blue.pace)
        };
        let (writer, unfit) = (Claim::Writer, Claim::Unfit);
        assert_eq!(claims("AVAILABLE", ("OFF", "ON")), (writer, unfit, Pace::Calm));
        assert_eq!(claims("SWITCHOVER_INITIATED", ("OFF", "ON")), (writer, unfit, Pace::Alert));
        assert_eq!(claims("SWITCHOVER_IN_PROGRESS", ("ON", "OFF")), (unfit, unfit, Pace::Alert));
        for after in ["SWITCHOVER_IN_POST_PROCESSING", "SWITCHOVER_COMPLETED"] {
            assert_eq!(claims(after, ("OFF", "OFF")), (unfit, writer, Pace::Calm));
        }
        assert_eq!(claims("garbage", ("OFF", "ON")), (writer, unfit, Pace::Calm));
    }
}
