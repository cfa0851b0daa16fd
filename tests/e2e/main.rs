//! Millpond as a process in front of real servers: what its clients and the servers see.
//!
//! - [`accounts`]: every plugin of clients with every plugin of servers.
//! - [`aws`]: secrets from AWS, as moto plays it, through a rotation.
//! - [`certificates`]: users who show one, and files of certificates that change.
//! - [`charsets`]: character sets that change how servers are to be talked to.
//! - [`clusters`]: Galera and Aurora, whose nodes fail under load.
//! - [`crowd`]: thousands of clients at once: no error, nothing lost, never more connections.
//! - [`cuts`]: transactions that take too long.
//! - [`databases`]: sessions that are in no database.
//! - [`discovery`]: servers that are found by a name, or by their group.
//! - [`doors`]: who may look at the admin port, and who may give orders.
//! - [`exactness`]: replies to the byte, for old and new capabilities.
//! - [`failures`]: servers that die, and statements that are killed.
//! - [`guests`]: users that only the server knows.
//! - [`handover`]: what hand-overs between sessions once got wrong.
//! - [`hostile`]: bytes that no client should send.
//! - [`kills`]: clients and statements that are killed.
//! - [`leaks`]: whatever a session can hold, left behind for the next, and kept for its owner.
//! - [`leaving`]: clients that vanish: in a transaction, while they wait.
//! - [`limits`]: full pools and too many clients, and what they are told.
//! - [`logins`]: how many may fail, and where they are computed.
//! - [`logs`]: ids of errors, slow statements, levels.
//! - [`marks`]: sessions that mark everything they have, and look for the marks of others.
//! - [`orders`]: sessions that are treated as configured, or as a comment says.
//! - [`pins`]: what goes with a session to another connection, and what makes it keep one.
//! - [`prepared`]: statements without a connection of their own.
//! - [`prometheus`]: a real Prometheus on Millpond's metrics, rules and dashboard.
//! - [`proxied`]: connections that come through another proxy, which says whose they are.
//! - [`reading`]: where strings and comments end, asked of the servers.
//! - [`reload`]: a configuration that is read again under churn.
//! - [`rotation`]: passwords that change under churn, and no login that fails.
//! - [`secrecy`]: known secrets through every path that fails, and a look at all that is said.
//! - [`sequences`]: what sessions took of MariaDB's sequences.
//! - [`servers_suites`]: what the servers' own test suites found.
//! - [`session`]: sessions that take turns on one connection.
//! - [`suites`]: what drivers' own test suites found.
//! - [`tokens`]: clients that come with a token in place of a password.
//! - [`sleeping`]: databases that stop when nobody needs them.
//! - [`sockets`]: ports that the service manager has bound.
//! - [`top`]: the status in a terminal and a shell.
//! - [`unpinning`]: sessions whose statements may have done anything, and what the server says of them.
//! - [`vault`]: secrets and database users from a real vault.
//! - [`watching`]: metrics, dashboard, alert rules, status page.
//! - [`webhook`]: events that are posted.
#![allow(clippy::disallowed_methods, reason = "a test's tasks end with it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::print_stderr, reason = "remarks of a test")]

mod accounts;
mod aws;
mod beginnings;
mod certificates;
mod charsets;
mod clusters;
mod compression;
mod crowd;
mod cuts;
mod databases;
mod discovery;
mod doors;
mod entering;
mod exactness;
mod failover;
mod failures;
mod guests;
mod handover;
mod hostile;
mod kills;
mod leaks;
mod leaving;
mod limits;
mod load;
mod logins;
mod logs;
mod marks;
mod operations;
mod orders;
mod pins;
mod prepared;
mod prometheus;
mod proxied;
mod reading;
mod reload;
mod rotation;
mod row_limits;
mod secrecy;
mod sequences;
mod servers_suites;
mod session;
mod sleeping;
mod sockets;
mod stores;
mod suites;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
mod top;
mod unpinning;
mod values;
mod vault;
mod watching;
mod webhook;
