//! Many clients on few connections: what Millpond is for, and what must not go wrong with it.
//!
//! - [`crowd`]: thousands of clients at once, no error, nothing lost, never more connections.
//! - [`leaks`]: what one client left behind is not for the next, and not lost for its owner.
//! - [`leaving`]: clients that vanish: in a transaction, while they wait.
//! - [`limits`]: full pools and too many clients, and the errors that say so.
//! - [`accounts`]: every plugin of clients with every plugin of servers.
//! - [`exactness`]: replies to the byte, for old and new capabilities.
//! - [`hostile`]: bytes that no client should send.

// Tests panic, and say on standard error what they skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod accounts;
mod crowd;
mod exactness;
mod hostile;
mod leaks;
mod leaving;
mod limits;
#[path = "../support/mod.rs"]
mod support;
