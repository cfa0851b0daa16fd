//! Floor 0: the MySQL protocol over byte slices. No tokio, no clock, no I/O, no panic.

pub mod auth;
pub mod capability;
pub mod command;
pub mod cursor;
pub mod exchange;
pub mod fault;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
pub mod greeting;
#[cfg(test)]
mod oracle;
pub mod proxy_header;
pub mod reply;
pub mod resultset;
