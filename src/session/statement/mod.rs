//! What a text of SQL will do to the session that runs it.
//!
//! [`analyze`] reads a text once, token by token, and notes every trace of session state as
//! [`Marks`]; a statement whose sort carries more than its marks can say is read a second time
//! into [`Action`]s. Nothing is parsed that doesn't concern the session, and nothing is allocated
//! for a text that has nothing of interest.
//!
//! It errs on one side: a word that could be code is code. A false mark costs a query or a pin, a
//! missing one would leak a client's state to another.

mod builtin;
mod details;
mod found;
mod head;
mod keyword;
mod kind;
mod lock;
mod marks;
mod notice;
mod parse;
mod prepare;
mod scan;
mod session;
mod set;
mod sole;
mod table;

#[cfg(test)]
mod tests;

pub use details::{
    Access, Action, AfterEnd, BackupAction, CallPlace, Details, DropScope, Existing, KillTarget,
    KillWhat, LockFunction, Missing, ObjectName, Placed, Question, Scope, Sole, Source,
    UserVariable, Value,
};
pub use kind::StatementKind;
pub use marks::Marks;

pub use crate::session::lexer::{Charset, Dialect};

use crate::session::catalogue::Catalogue;
use scan::Scan;

/// What [`analyze`] found in a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Analysis {
    /// The sort of the first statement.
    pub kind: StatementKind,
    /// How many statements the text holds; 0 if it is blank. Exact unless [`Marks::UNCERTAIN`] or
    /// [`Marks::OPAQUE`] is set.
    pub count: u32,
    /// Everything that was noticed, over all statements.
    pub marks: Marks,
    /// The particulars, if there are any.
    pub details: Option<Box<Details>>,
}

impl Analysis {
    /// The actions of the text, in order.
    pub fn actions(&self) -> impl Iterator<Item = &Placed> {
        self.details.iter().flat_map(|details| &details.actions)
    }

    /// The user variables that the text names.
    pub fn user_variables(&self) -> &[UserVariable] {
        self.details.as_ref().map_or(&[], |details| &details.user_variables)
    }

    /// The question, if the text is nothing but one that Millpond may answer.
    pub fn sole(&self) -> Option<&Sole> {
        self.details.as_ref()?.sole.as_ref()
    }
}

/// Reads a text of SQL as the server would under `dialect`, and says what it may do to its
/// session. Never fails: what can't be read is marked [`Marks::OPAQUE`].
pub fn analyze(sql: &[u8], dialect: &Dialect, catalogue: &Catalogue) -> Analysis {
    Scan::new(sql, dialect, catalogue).run()
}
