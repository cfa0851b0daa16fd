//! What is known about a server's routines, triggers and views: which of them may change the state
//! of the session that uses them, and how.
//!
//! Trackers don't report a variable that is set by `SELECT … INTO`, a lock, a temporary table made
//! by `CREATE … SELECT`, when a routine does it. So the bodies are read, with the same tokenizer as
//! clients' statements, and a name is impure if its body, or anything that its body uses, may do
//! such a thing. Names are compared without their database: a name that is impure in one is impure
//! in all.

mod body;
mod builder;
mod effects;
mod names;

#[cfg(test)]
mod tests;

pub use builder::{Body, Builder, RoutineKind};
pub use effects::{Effects, Reach, UserVariables};

use names::Index;

/// The impure names of a server.
#[derive(Debug, Default)]
pub struct Catalogue {
    knowledge: Knowledge,
    functions: Index<Effects>,
    procedures: Index<Effects>,
    tables: Index<Effects>,
}

/// What to think of a name that is not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Knowledge {
    /// It is pure.
    #[default]
    Listed,
    /// It may do anything.
    Nothing,
}

impl Catalogue {
    /// A catalogue of a server on which nothing is impure.
    pub fn new() -> Self {
        Self::default()
    }

    /// A catalogue of a server whose routines, triggers and views can't be seen: every use of one
    /// may do anything, and every table may have triggers or be a view.
    pub fn blind() -> Self {
        Self { knowledge: Knowledge::Nothing, ..Self::default() }
    }

    /// Whether no name is impure: nothing needs to be looked up.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty() && self.procedures.is_empty() && self.tables.is_empty()
    }

    /// Whether nothing is known.
    #[inline]
    pub fn is_blind(&self) -> bool {
        self.knowledge == Knowledge::Nothing
    }

    /// What calling the stored function of this name may do.
    pub fn function(&self, name: &[u8]) -> impl Iterator<Item = &Effects> {
        self.functions.find(name)
    }

    /// What calling the procedure of this name may do.
    pub fn procedure(&self, name: &[u8]) -> impl Iterator<Item = &Effects> {
        self.procedures.find(name)
    }

    /// What using the table or view of this name may do.
    pub fn table(&self, name: &[u8]) -> impl Iterator<Item = &Effects> {
        self.tables.find(name)
    }
}
