//! Being built.

pub mod stores;
