//! What clients are told whose connection to the server, or whose transaction, is gone.

use super::Told;
use crate::frontend::cut::CutReason;
use std::borrow::Cow;
use std::time::Duration;

impl Told {
    /// The transaction was rolled back because it took too long; the statement was not run.
    /// `ER_TRANSACTION_ROLLBACK_DURING_COMMIT` is the one of the class of roll-backs, 40, that names
    /// no other cause; `ER_QUERY_TIMEOUT` is what drivers know for time limits.
    pub fn transaction_cut(reason: CutReason, limit: Duration) -> Self {
        let ms = limit.as_millis();
        match reason {
            CutReason::Idle => Self::owned(
                3101,
                b"40000",
                format!(
                    "The transaction was rolled back because its client said nothing for {ms} ms \
                     (idle_transaction_timeout); the statement was not run"
                ),
            )
            .trouble("idle_transaction"),
            CutReason::TooLong => Self::owned(
                3024,
                b"HY000",
                format!(
                    "The transaction was rolled back because it was open for {ms} ms \
                     (max_transaction_time); the statement was interrupted or not run"
                ),
            )
            .trouble("long_transaction"),
        }
    }

    /// `ER_NET_READ_ERROR` (clients refuse to take the codes of their own, such as 2013, from a
    /// server): the statement's outcome is unknown.
    pub const LOST_UNKNOWN: Self = Self::new(
        1158,
        b"08S01",
        "Lost connection to MySQL server during query; whether the statement took effect is \
         unknown",
    )
    .trouble("lost_unknown");

    /// `ER_NET_READ_ERROR` (clients refuse to take the codes of their own, such as 2013, from a
    /// server): the server went away before the statement was sent.
    pub const LOST_NOT_RUN: Self =
        Self::new(1158, b"08S01", "Lost connection to MySQL server; the statement was not run")
            .trouble("lost_not_run");

    /// `ER_NET_READ_ERROR` (clients refuse to take the codes of their own, such as 2013, from a
    /// server): the connection that held the session's state is gone.
    pub const LOST_STATE: Self = Self::new(
        1158,
        b"08S01",
        "Lost connection to MySQL server, and with it the state of this session; the statement \
         was not run",
    )
    .trouble("lost_state");

    /// `ER_NET_READ_ERROR`: the server is gone or not the writer any more, and with it what the
    /// transaction did; this statement was not sent to it.
    pub const LOST_TRANSACTION: Self = Self::new(
        1158,
        b"08S01",
        "Lost connection to MySQL server during a transaction, which is rolled back; the statement \
         was not run",
    )
    .trouble("lost_transaction");

    /// `ER_NET_READ_ERROR`: the connection broke in the middle of a transaction and of a statement
    /// that cannot have ended it; nobody can commit it any more.
    pub const LOST_UNDONE: Self = Self::new(
        1158,
        b"08S01",
        "Lost connection to MySQL server during query; the transaction that it was part of is \
         rolled back",
    )
    .trouble("lost_undone");

    /// The same as `ER_LOCK_DEADLOCK`, by which drivers and frameworks know that the transaction is
    /// rolled back and may be run again. Only for what is known to have had no effect.
    pub fn as_deadlock(self) -> Self {
        let mut message = self.message.into_owned();
        message.extend_from_slice(b"; try restarting transaction");
        Self { code: 1213, sqlstate: *b"40001", message: Cow::Owned(message), ..self }
    }
}
