//! What keeps the process going: named tasks, signals, waiting before another try, the log.

pub mod backoff;
pub mod logging;
pub mod manager;
pub mod repeats;
pub mod signals;
pub mod tasks;
pub mod workers;

pub use backoff::{Backoff, InvalidBackoff};
pub use signals::{Signal, Signals};
pub use tasks::{Death, Law, Tasks, Unterminated};
pub use workers::{Unfinished, Workers};
