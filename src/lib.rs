//! Millpond, a MySQL connection-pooling proxy.
#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod backend;
pub mod config;
pub mod credentials;
pub mod failover;
pub mod frontend;
pub mod net;
pub mod pool;
pub mod router;
pub mod runtime;
pub mod session;
pub mod wire;
