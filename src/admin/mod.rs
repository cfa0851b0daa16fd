//! What operators and their machines ask: metrics, liveness, readiness, and a page to look at, on
//! a port of its own.

mod control;
pub mod door;
mod guard;
pub mod health;
mod http;
mod level;
pub mod metrics;
mod pages;
mod readiness;
mod reload;
mod shown;
mod status;
pub mod top;
mod view;

pub use control::Control;
pub use guard::Guard;
pub use http::AdminServer;
pub use pages::Pages;
pub use readiness::Readiness;
pub use reload::{NotReloaded, ReloadRequests, Reloaded, Reloads};
