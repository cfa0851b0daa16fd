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
mod coverage;
mod effects;
mod names;

#[cfg(test)]
mod tests;

pub use builder::{Body, Builder, RoutineKind};
pub use coverage::Coverage;
pub use effects::{Effects, Reach, UserVariables};

use names::Index;
use std::collections::BTreeSet;

/// What is known of a server's stored code. The default knows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    knowledge: Knowledge,
    /// Whose triggers are listed.
    triggers: Coverage,
    functions: Index<Effects>,
    procedures: Index<Effects>,
    tables: Index<Effects>,
    /// What rows take by default that are put into these tables.
    defaults: Index<Effects>,
    impure: usize,
    /// Whether there are sequences.
    sequences: bool,
    /// Whether there are packages.
    packages: bool,
    /// Names of sequences that stored code asks for their last values, in lower case; an empty one
    /// stands for any.
    asks: BTreeSet<Vec<u8>>,
}

/// What to think of a name that is not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Knowledge {
    /// A table of that name is pure, a routine may do anything.
    Listed,
    /// It may do anything.
    #[default]
    Nothing,
}

impl Catalogue {
    /// A catalogue of a server without any stored code.
    pub fn empty() -> Self {
        Self { knowledge: Knowledge::Listed, triggers: Coverage::ALL, ..Self::default() }
    }

    /// Whether nothing is known: every use of stored code may do anything, and every table may
    /// have triggers or be a view.
    #[inline]
    pub fn is_blind(&self) -> bool {
        self.knowledge == Knowledge::Nothing
    }

    /// Where triggers are known.
    #[inline]
    pub fn triggers(&self) -> &Coverage {
        &self.triggers
    }

    /// How many routines, views and triggers are impure.
    pub fn impure_count(&self) -> usize {
        self.impure
    }

    /// Whether there may be sequences.
    pub fn has_sequences(&self) -> bool {
        self.sequences || self.is_blind()
    }

    /// Whether there may be packages, which have variables of their own in each session.
    pub fn has_packages(&self) -> bool {
        self.packages || self.is_blind()
    }

    /// Whether there are stored functions.
    #[inline]
    pub fn has_functions(&self) -> bool {
        !self.functions.is_empty()
    }

    /// Whether there are tables or views whose use may do something.
    #[inline]
    pub fn has_tables(&self) -> bool {
        !self.tables.is_empty()
    }

    /// Whether there are tables, or views, whose columns have values of sequences by default.
    #[inline]
    pub fn has_defaults(&self) -> bool {
        !self.defaults.is_empty()
    }

    /// Whether any stored code may ask for the last value of a sequence of this name.
    pub fn asks_for(&self, sequence: &[u8]) -> bool {
        !self.asks.is_empty()
            && (self.asks.contains(&b""[..]) || self.asks.contains(&sequence.to_ascii_lowercase()))
    }

    /// What the defaults of columns may do in tables and views of this name; nothing comes if they
    /// are harmless.
    pub fn default_of(&self, name: &[u8]) -> impl Iterator<Item = &Effects> {
        self.defaults.find(name)
    }

    /// What calling the stored functions of this name may do; nothing comes if there is none.
    pub fn function(&self, name: &[u8]) -> impl Iterator<Item = &Effects> {
        self.functions.find(name)
    }

    /// What calling the procedures of this name may do; nothing comes if there is none.
    pub fn procedure(&self, name: &[u8]) -> impl Iterator<Item = &Effects> {
        self.procedures.find(name)
    }

    /// What using the tables and views of this name may do; nothing comes if they are harmless.
    pub fn table(&self, name: &[u8]) -> impl Iterator<Item = &Effects> {
        self.tables.find(name)
    }
}
