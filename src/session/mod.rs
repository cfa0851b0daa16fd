//! Floor 1: what a session is. Values only, no I/O.

pub mod align;
pub mod answers;
pub mod catalogue;
pub mod changes;
pub mod effect;
#[doc(hidden)]
pub mod fuzzing;
pub mod inherited;
pub mod inspection;
pub mod lexer;
pub mod literal;
pub mod mask;
pub mod model;
pub mod need;
pub mod parameters;
pub mod pin;
pub mod prepared;
pub mod residue;
pub mod sequences;
pub mod server;
pub mod sqlstate;
pub mod state;
pub mod statement;
pub mod text;
pub mod treatment;
pub mod wide;
