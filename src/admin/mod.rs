//! What operators and their machines ask: metrics, liveness, readiness, on a port of its own.

pub mod health;
mod http;
pub mod metrics;
mod pages;
mod readiness;

pub use http::AdminServer;
pub use pages::Pages;
pub use readiness::Readiness;
