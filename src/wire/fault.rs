//! What can be wrong with bytes that came from the network.

/// A violation of the MySQL protocol, found while decoding. Never carries the offending bytes, so
/// that it may be logged without leaking what a client or a server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A field of a fixed meaning holds a value outside its range.
    #[error("a protocol field holds an impossible value: {0}")]
    BadValue(&'static str),
    /// A packet is larger than the side that reads it allows.
    #[error("a packet is larger than the {limit} bytes allowed here")]
    TooLarge {
        /// The bound in bytes.
        limit: usize,
    },
    /// A packet ended in the middle of a field.
    #[error("a packet ended in the middle of a field")]
    Truncated,
    /// A packet of a kind that may not come at this point of a dialogue.
    #[error("an unexpected packet: expected {expected}")]
    Unexpected {
        /// What the dialogue was waiting for.
        expected: &'static str,
    },
    /// The sequence number of a packet does not continue the exchange.
    #[error("packets out of order: expected sequence number {expected}, got {got}")]
    OutOfOrder {
        /// The number that continues the exchange.
        expected: u8,
        /// The number that came.
        got: u8,
    },
}
