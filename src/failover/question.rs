//! What servers are asked, and what their answers mean: plain asynchronous or semi-synchronous
//! replication.
//!
//! <https://dev.mysql.com/doc/refman/9.4/en/show-replica-status.html>,
//! <https://mariadb.com/kb/en/show-replica-status/>

use super::verdict::{Answer, Claim};
use crate::backend::control::{ControlConnection, ControlError};
use std::time::Duration;

/// `super_read_only` implies `read_only`; `innodb_read_only` is what cloud replicas say.
const READ_ONLY: &str = "SELECT @@GLOBAL.read_only, @@GLOBAL.innodb_read_only";
const REPLICA_STATUS: &str = "SHOW REPLICA STATUS";

/// Asks a server what it is.
///
/// Not cancel safe: a connection on which this was interrupted must be dropped.
///
/// # Errors
///
/// When the connection fails, or the server refuses the question.
pub async fn ask(connection: &mut ControlConnection) -> Result<Answer, ControlError> {
    let rows = connection.query(READ_ONLY).await?;
    let reads = rows.first().is_none_or(|row| row.iter().any(|value| !is_off(value.as_deref())));
    if !reads {
        // Without the privilege for more, what it says of itself has to do.
        return Ok(Answer { claim: Claim::Writer, lag: None });
    }
    let lag = match connection.query_named(REPLICA_STATUS).await {
        Ok(rows) => rows.iter().filter_map(|row| lag(row)).max(),
        Err(ControlError::Refused(_)) => None,
        Err(error) => return Err(error),
    };
    Ok(Answer { claim: Claim::Reader, lag })
}

/// Newer MariaDB servers say words where others say numbers.
fn is_off(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| value == b"0" || value.eq_ignore_ascii_case(b"off"))
}

/// The lag that one channel reports.
fn lag(row: &[(String, Option<Vec<u8>>)]) -> Option<Duration> {
    let named = |name: &str| name == "Seconds_Behind_Source" || name == "Seconds_Behind_Master";
    let (_, value) = row.iter().find(|(name, _)| named(name))?;
    let seconds = std::str::from_utf8(value.as_ref()?).ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
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
        assert_eq!(lag(&row(Some(b"7"))), Some(Duration::from_secs(7)));
        assert_eq!(lag(&row(None)), None);
    }
}
