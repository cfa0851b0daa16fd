//! Floor 1: what a session is. Values only, no I/O.

pub mod align;
pub mod catalogue;
pub mod effect;
pub mod lexer;
pub mod pin;
pub mod prepared;
pub mod server;
pub mod state;
pub mod statement;
