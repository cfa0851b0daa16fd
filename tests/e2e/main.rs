//! Millpond as a process in front of real servers: what its clients and the servers see.
#![allow(clippy::disallowed_methods, reason = "a test's tasks end with it")]

#[path = "../support/mod.rs"]
mod support;

mod failures;
mod limits;
mod prepared;
mod session;
mod throng;
