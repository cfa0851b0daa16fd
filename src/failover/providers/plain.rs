//! What servers are asked, and what their answers mean: plain asynchronous or semi-synchronous
//! replication.
//!
//! <https://dev.mysql.com/doc/refman/9.4/en/show-replica-status.html>,
//! <https://mariadb.com/kb/en/show-replica-status/>

use super::{Rows, optional, text};
use crate::backend::control::{ControlConnection, ControlError};
use crate::failover::roster::Finding;
use crate::failover::verdict::{Answer, Claim};
use std::time::Duration;

/// `super_read_only` implies `read_only`; `innodb_read_only` is what cloud replicas say.
const READ_ONLY: &str = "SELECT @@GLOBAL.read_only, @@GLOBAL.innodb_read_only";
const REPLICA_STATUS: &str = "SHOW REPLICA STATUS";

/// Asks a server what it is.
pub(super) async fn ask(connection: &mut ControlConnection) -> Result<Finding, ControlError> {
    let rows = connection.query(READ_ONLY).await?;
    let reads = rows.first().is_none_or(|row| row.iter().any(|value| !is_off(value.as_deref())));
    if !reads {
        // Without the privilege for more, what it says of itself has to do.
        return Ok(Answer { claim: Claim::Writer, lag: None }.into());
    }
    let lag = lag(&optional(connection, REPLICA_STATUS).await?);
    Ok(Answer { claim: Claim::Reader, lag }.into())
}

/// How far a replica is behind by all its channels.
pub(super) async fn replica_lag(
    connection: &mut ControlConnection,
) -> Result<Option<Duration>, ControlError> {
    Ok(lag(&optional(connection, REPLICA_STATUS).await?))
}

/// Newer MariaDB servers say words where others say numbers.
pub(super) fn is_off(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| value == b"0" || value.eq_ignore_ascii_case(b"off"))
}

/// The lag of the channel that is behind the most.
fn lag(rows: &Rows) -> Option<Duration> {
    let seconds = |row: &super::Row| {
        let value = text(row, "Seconds_Behind_Source").or(text(row, "Seconds_Behind_Master"))?;
        value.parse().ok().map(Duration::from_secs)
    };
    rows.iter().filter_map(seconds).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_is_said_in_two_ways() {
        assert!(is_off(Some(b"0")) && is_off(Some(b"OFF")));
        assert!(!is_off(Some(b"1")) && !is_off(Some(b"NO_LOCK")) && !is_off(None));
    }

    #[test]
    fn a_replica_that_does_not_know_its_lag_says_so() {
        let row = |value: Option<&[u8]>| {
            vec![("Seconds_Behind_Master".to_owned(), value.map(<[u8]>::to_vec))]
        };
        assert_eq!(lag(&vec![row(Some(b"7"))]), Some(Duration::from_secs(7)));
        assert_eq!(lag(&vec![row(None)]), None);
    }
}
