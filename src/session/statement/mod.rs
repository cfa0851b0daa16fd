//! What a text of SQL will do to the session that runs it.
//!
//! [`analyze`] reads a text once, token by token, and notes every trace of session state as
//! [`Marks`]; a statement whose sort carries more than its marks can say is read a second time
//! into [`Action`]s. Nothing is parsed that doesn't concern the session, and nothing is allocated
//! for a text that has nothing of interest.
//!
//! It errs on one side: a word that could be code is code. A false mark costs a query or a pin, a
//! missing one would leak a client's state to another.

mod asked;
mod builtin;
mod database;
mod details;
mod diagnosis;
mod found;
mod head;
mod inner;
mod keyword;
mod kind;
mod lock;
mod marks;
mod modes;
mod notice;
mod parse;
mod prepare;
mod scan;
mod sequence;
mod session;
mod set;
mod shape;
mod sole;
mod stored;
mod table;

#[cfg(test)]
mod tests;

pub use database::DatabaseUse;
pub use details::{
    Access, Action, AfterEnd, Asked, BackupAction, CallPlace, Details, DropScope, Existing, Kill,
    Limit, LockFunction, Missing, ObjectName, Placed, Scope, Sole, Source, UserVariable, Value,
};
pub use diagnosis::{ConditionItem, Diagnosis, StatementItem};
pub use kind::StatementKind;
pub use marks::Marks;
pub use sequence::{SequenceAccess, SequenceUse};
pub use shape::{LONGEST as LONGEST_SHAPE, shape};

pub use crate::session::lexer::{Charset, Dialect};

use crate::session::catalogue::{Catalogue, Coverage, Effects};
use crate::session::treatment::Treatment;
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
    /// Whether tables seem to be read: there is a `FROM` or a `JOIN`.
    pub reads_tables: bool,
    /// What the current database is to it.
    pub database: DatabaseUse,
    /// The one thing that is asked for, if the text asks for nothing else.
    pub sole: Option<Sole>,
    /// The particulars, if there are any.
    pub details: Option<Box<Details>>,
}

impl Analysis {
    /// A statement of which nothing is known.
    pub fn opaque() -> Self {
        Self { kind: StatementKind::Other, count: 1, marks: Marks::OPAQUE, ..Self::default() }
    }

    /// A command that enters a database.
    pub fn enters() -> Self {
        Self { database: DatabaseUse::Entered, ..Self::default() }
    }

    /// The actions of the text, in order.
    pub fn actions(&self) -> &[Placed] {
        self.details.as_ref().map_or(&[], |details| &details.actions)
    }

    /// The user variables that the text names.
    pub fn user_variables(&self) -> &[UserVariable] {
        self.details.as_ref().map_or(&[], |details| &details.user_variables)
    }

    /// Questions for what the session knows that are parts of the text.
    pub fn asked(&self) -> &[Asked] {
        self.details.as_ref().map_or(&[], |details| &details.asked)
    }

    /// Whether all that it asks for is the connection's number, which a session never changes.
    pub fn asks_only_its_number(&self) -> bool {
        self.asked().iter().all(|asked| asked.asks == Sole::ConnectionId)
    }

    /// Whether rows of several tables may be changed together.
    pub fn joins(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.joins)
    }

    /// The sorts of the statements.
    pub fn kinds(&self) -> &[StatementKind] {
        match &self.details {
            Some(details) if !details.statements.is_empty() => &details.statements,
            _ => std::slice::from_ref(&self.kind),
        }
    }

    /// Whether more rows may be found than are shown, though nobody asks for their number.
    pub fn finds_more(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.finds_more)
    }

    /// Whether rows are inserted that are selected, or values that are.
    pub fn inserts_selected(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.inserts_selected)
    }

    /// Which rows of the warnings or errors are asked for, if not all.
    pub fn limit(&self) -> Option<Limit> {
        self.details.as_ref()?.limit
    }

    /// Variables that are set for the time of one statement only: what trackers say of them does
    /// not last.
    pub fn temporary_settings(&self) -> &[Box<[u8]>] {
        self.details.as_ref().map_or(&[], |details| &details.temporary_settings)
    }

    /// Whether the session has to be told anything beyond what trackers say.
    pub fn touches_session(&self) -> bool {
        self.marks.intersects(Marks::SESSION) || self.draws_unknown()
    }

    /// Overlooks the user variables of which nothing is to be remembered: those of the user's
    /// `treatment`, and those that the text itself names so.
    pub fn overlook(&mut self, treatment: Option<&Treatment>) {
        let Some(details) = &mut self.details else { return };
        let before = details.user_variables.len();
        let Details { user_variables, temporary_settings, .. } = &mut **details;
        user_variables.retain(|variable| {
            let here = |name: &[u8]| name.strip_prefix(b"@") == Some(&*variable.name);
            !treatment.is_some_and(|treatment| treatment.ignores_user_variable(&variable.name))
                && !temporary_settings.iter().any(|name| here(name))
        });
        if before > 0 && user_variables.is_empty() {
            self.marks = self.marks.without(Marks::USER_VARIABLES | Marks::WRITES_VARIABLES);
        }
    }

    /// Whether it changes rows of tables whose triggers are not known, in this database or another.
    pub fn may_fire_hidden(&self, triggers: &Coverage, database: Option<&[u8]>) -> bool {
        if triggers.is_all() {
            return false;
        }
        let kinds = self.details.as_ref().map_or(&[][..], |details| &details.statements);
        let changes = self.kind.changes_rows() || kinds.iter().any(|kind| kind.changes_rows());
        let hidden = self.details.as_ref().is_some_and(|details| details.hidden_triggers);
        let elsewhere = kinds.contains(&StatementKind::Use);
        changes && (hidden || elsewhere || database.is_some_and(|name| !triggers.covers(name)))
    }

    /// Notes that it may do anything.
    pub fn suspect(&mut self) {
        self.marks |= Marks::IMPURE;
        self.details.get_or_insert_default().impure.merge(&Effects::EVERYTHING);
    }

    /// Whether the default character set of a database may be another afterwards.
    pub fn may_alter_databases(&self) -> bool {
        use StatementKind as Kind;
        matches!(
            self.kind,
            Kind::AlterDatabase
                | Kind::Call
                | Kind::Compound
                | Kind::Ddl
                | Kind::Execute
                | Kind::Other
        ) || self.count > 1
            || self.marks.intersects(Marks::OPAQUE | Marks::IMPURE)
    }

    /// What the preparation of this statement does: nothing, but that variables which the text
    /// assigns to change their collation at once (measured).
    pub fn preparing(&self) -> Self {
        let keep = Marks::USER_VARIABLES | Marks::WRITES_VARIABLES | Marks::OPAQUE;
        let user_variables = self.user_variables().to_vec();
        let details = Details { user_variables, ..Details::default() };
        Self {
            kind: StatementKind::Prepare,
            count: 1,
            marks: self.marks.only(keep),
            reads_tables: self.opens_tables(),
            database: DatabaseUse::Minded,
            sole: None,
            details: (!details.user_variables.is_empty()).then(|| Box::new(details)),
        }
    }

    /// Whether MariaDB looks at tables already when this statement is prepared, which clears the
    /// warnings of the one before (measured; of views, indexes, triggers and grants it is not told
    /// from the text).
    fn opens_tables(&self) -> bool {
        use StatementKind as Kind;
        match self.kind {
            Kind::AlterTable
            | Kind::CreateTable
            | Kind::CreateTemporaryTable
            | Kind::Delete
            | Kind::Describe
            | Kind::DropTable
            | Kind::Handler
            | Kind::Insert
            | Kind::LoadData
            | Kind::LockTables
            | Kind::Maintenance
            | Kind::RenameTable
            | Kind::Replace
            | Kind::ShowCreate
            | Kind::TruncateTable
            | Kind::Update
            | Kind::With => true,
            Kind::Show => !self.marks.intersects(Marks::SHOW_DIAGNOSTICS),
            Kind::Call | Kind::Do | Kind::Explain | Kind::Select | Kind::Set => {
                self.reads_tables || self.opens_sequences()
            }
            _ => false,
        }
    }

    /// Whether this is `PREPARE`, or the preparation of a statement, that looks at tables.
    pub fn prepares_with_tables(&self) -> bool {
        let mut texts = self.actions().iter().filter_map(|placed| match &placed.action {
            Action::Prepare { prepared, .. } => Some(prepared.opens_tables()),
            _ => None,
        });
        // The FROM of a PREPARE is not that of a table.
        self.kind == StatementKind::Prepare && texts.next().unwrap_or(self.reads_tables)
    }

    /// This statement, which executes another that was prepared by text.
    pub fn executing(&self, prepared: &Self) -> Self {
        let mut details = prepared.details.as_deref().cloned().unwrap_or_default();
        Self::asks_elsewhere(&mut details);
        for variable in self.user_variables() {
            details.note_user_variable(variable.name.clone(), variable.access);
        }
        details.actions.extend(self.actions().iter().cloned());
        Self {
            kind: if self.count > 1 { self.kind } else { prepared.kind },
            count: self.count,
            marks: (self.marks | prepared.marks).without(Marks::PURE_READ),
            reads_tables: self.reads_tables || prepared.reads_tables,
            database: DatabaseUse::Minded,
            sole: None,
            details: Some(Box::new(details)),
        }
    }
}

/// Reads a text of SQL as the server would under `dialect`, and says what it may do to its
/// session. Never fails: what can't be read is marked [`Marks::OPAQUE`].
pub fn analyze(sql: &[u8], dialect: &Dialect, catalogue: &Catalogue) -> Analysis {
    Scan::new(sql, dialect, catalogue).run()
}
