//! Floor 5: one connection to a server.

pub mod account;
pub mod connection;
pub mod control;
pub mod dialogue;
pub mod fence;
pub mod limits;
pub mod login;
pub mod server;
pub mod setup;
