//! Millpond as a process in front of real servers: what its clients and the servers see.
//!
//! - [`accounts`]: every plugin of clients with every plugin of servers.
//! - [`charsets`]: character sets that change how servers are to be talked to.
//! - [`crowd`]: thousands of clients at once: no error, nothing lost, never more connections.
//! - [`discovery`]: servers that are found by a name, or by their group.
//! - [`exactness`]: replies to the byte, for old and new capabilities.
//! - [`failures`]: servers that die, and statements that are killed.
//! - [`handover`]: what hand-overs between sessions once got wrong.
//! - [`hostile`]: bytes that no client should send.
//! - [`leaks`]: whatever a session can hold, left behind for the next, and kept for its owner.
//! - [`leaving`]: clients that vanish: in a transaction, while they wait.
//! - [`limits`]: full pools and too many clients, and what they are told.
//! - [`logins`]: how many may fail, and where they are computed.
//! - [`logs`]: ids of errors, slow statements, levels.
//! - [`marks`]: sessions that mark everything they have, and look for the marks of others.
//! - [`prepared`]: statements without a connection of their own.
//! - [`prometheus`]: a real Prometheus on Millpond's metrics, rules and dashboard.
//! - [`reading`]: where strings and comments end, asked of the servers.
//! - [`reload`]: a configuration that is read again under churn.
//! - [`rotation`]: passwords that change under churn, and no login that fails.
//! - [`session`]: sessions that take turns on one connection.
//! - [`top`]: the status in a terminal and a shell.
//! - [`watching`]: metrics, dashboard, alert rules, status page.
#![allow(clippy::disallowed_methods, reason = "a test's tasks end with it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::print_stderr, reason = "remarks of a test")]

mod accounts;
mod charsets;
mod crowd;
mod discovery;
mod exactness;
mod failover;
mod failures;
mod handover;
mod hostile;
mod leaks;
mod leaving;
mod limits;
mod load;
mod logins;
mod logs;
mod marks;
mod operations;
mod prepared;
mod prometheus;
mod reading;
mod reload;
mod rotation;
mod session;
mod stores;
#[path = "../support/mod.rs"]
mod support;
mod top;
mod watching;
