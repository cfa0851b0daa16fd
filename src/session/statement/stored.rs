//! What a statement uses of the server's stored code.

use super::builtin;
use super::details::{Access, Action, CallPlace, Existing, LockFunction, Placed};
use super::keyword::Keyword as K;
use super::kind::StatementKind as Kind;
use super::marks::Marks;
use super::scan::{Previous, Scan};
use crate::session::catalogue::{Effects, Reach, UserVariables};
use crate::session::lexer::{Token, unquoted};

impl Scan<'_> {
    /// A dot behind a name, which is a database's where a table is named whose rows are changed.
    pub(super) fn qualifier(&mut self) {
        let Previous { token, keyword } = self.statement.before;
        let several = matches!(self.statement.kind, Kind::Update | Kind::Delete)
            && (token.is(b',') || token.is(b'('));
        let names_table = several
            || matches!(
                keyword,
                K::Into
                    | K::Insert
                    | K::Replace
                    | K::Update
                    | K::Delete
                    | K::From
                    | K::Join
                    | K::Using
                    | K::Table
                    | K::Ignore
                    | K::LowPriority
                    | K::HighPriority
                    | K::Delayed
                    | K::Quick
            );
        if !self.statement.kind.changes_rows() || self.statement.past_targets || !names_table {
            return;
        }
        let name = unquoted(self.text(self.statement.previous.token));
        if !self.catalogue.triggers().covers(&name) {
            self.details().hidden_triggers = true;
        }
    }

    /// Perhaps a call of something that is not the server's own function.
    pub(super) fn foreign_call(&mut self, name: &[u8]) {
        let statement = &self.statement;
        let before = statement.before;
        let column_list = before.token.is(b')') || before.keyword == K::As;
        if statement.names_object || column_list || !statement.may_call() {
            return;
        }
        self.mark(Marks::FOREIGN_FUNCTION);
        self.statement.pure = false;
        if !name.is_ascii() && builtin::may_be_sensitive(name, &self.dialect) {
            // The server compares names by a collation in which `É` may be an `E`.
            self.mark(Marks::OPAQUE);
        }
        if !self.stored_function(name) {
            // A loadable function, or one that was made since the catalogue was read.
            self.take_effects(&Effects::EVERYTHING);
        }
    }

    /// Notes what a stored function of this name does. Returns whether there is one.
    pub(super) fn stored_function(&mut self, name: &[u8]) -> bool {
        let catalogue = self.catalogue;
        let mut known = false;
        for effects in catalogue.function(name) {
            known = true;
            self.take_effects(effects);
        }
        known
    }

    /// The procedure that a `CALL` runs.
    pub(super) fn called(&mut self, actions: &[Action]) {
        let catalogue = self.catalogue;
        let mut known = false;
        if let [Action::Call(procedure), ..] = actions {
            for effects in catalogue.procedure(&procedure.name) {
                known = true;
                self.take_effects(effects);
            }
        }
        if !known {
            self.take_effects(&Effects::EVERYTHING);
        }
    }

    /// Asks the catalogue about a name that may be a table's or a view's.
    pub(super) fn look_up_table(&mut self, token: Token) {
        let catalogue = self.catalogue;
        let name = unquoted(self.text(token));
        for effects in catalogue.table(&name) {
            self.take_effects(effects);
        }
    }

    /// Asks the catalogue about a name that may be a table's whose columns have defaults that do
    /// something, where they may be computed.
    pub(super) fn look_up_defaults(&mut self, token: Token) {
        if !(self.statement.kind.changes_rows() || self.statement.defaults) {
            return;
        }
        let catalogue = self.catalogue;
        let name = unquoted(self.text(token));
        for effects in catalogue.default_of(&name) {
            self.take_effects(effects);
        }
    }

    /// Notes what something that the statement uses may do: as marks and actions where the session
    /// can follow it, otherwise as [`Marks::IMPURE`].
    pub(super) fn take_effects(&mut self, effects: &Effects) {
        if effects.is_empty() {
            return;
        }
        self.statement.pure = false;
        let reach = effects.reach;
        let beyond = Reach::EVERYTHING
            | Reach::PREPARED_STATEMENTS
            | Reach::ROLE
            | Reach::LOCKS
            | Reach::SPECIAL_VARIABLES
            | Reach::NEXT_TRANSACTION;
        if effects.user_variables == UserVariables::Any || reach.intersects(beyond) {
            self.mark(Marks::IMPURE);
        }
        for (part, mark) in [
            (Reach::TEMPORARY_TABLES, Marks::TEMP_TABLE_CREATE),
            (Reach::USER_LOCKS, Marks::GET_LOCK),
            (Reach::LAST_INSERT_ID, Marks::LAST_INSERT_ID_SET),
            (Reach::TRANSACTION, Marks::SAVEPOINT),
            (Reach::ROLE, Marks::SET_ROLE),
            (Reach::BACKEND_LOCAL, Marks::BACKEND_LOCAL_WRITE),
            (Reach::CHARACTER_SET, Marks::SET_CHARACTER_SET),
            (Reach::RESOURCE_GROUP, Marks::SET_RESOURCE_GROUP),
        ] {
            if reach.intersects(part) {
                self.mark(mark);
            }
        }
        if !effects.silent_settings.is_empty() {
            self.mark(Marks::SET_VARIABLE);
        }
        let statement = self.count;
        let details = self.details();
        details.draws_unknown |= reach.intersects(Reach::UNKNOWN_SEQUENCE);
        details.reads_last_values |= reach.intersects(Reach::LAST_VALUES);
        details.impure.merge(effects);
        if reach.intersects(Reach::TEMPORARY_TABLES) {
            let action = Action::CreateTemporaryTable { name: None, existing: Existing::Stays };
            details.actions.push(Placed { statement, action });
        }
        if reach.intersects(Reach::USER_LOCKS) {
            let (function, place) = (LockFunction::Get, CallPlace::Within);
            let action = Action::Lock { function, name: None, place };
            details.actions.push(Placed { statement, action });
        }
        if let UserVariables::Named(names) = &effects.user_variables {
            for name in names {
                details.note_user_variable(name.clone(), Access::Write);
            }
            self.mark(Marks::USER_VARIABLES | Marks::WRITES_VARIABLES);
        }
    }

    /// Whether the statement may use a trigger, a view or a routine.
    pub(super) fn may_be_impure(&self) -> bool {
        let statement = &self.statement;
        match statement.kind {
            Kind::Help => false,
            kind if kind.shows() => false,
            Kind::Call => true,
            kind => kind.changes_rows() || statement.uses_tables,
        }
    }
}
