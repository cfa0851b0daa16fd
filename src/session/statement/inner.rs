//! Statements inside statements.

use std::sync::Arc;

use super::analyze;
use super::details::{Action, Placed};
use super::head;
use super::keyword::Keyword as K;
use super::marks::Marks;
use super::parse::Parser;
use super::scan::Scan;
use crate::session::lexer::{Dialect, TokenKind};

impl Scan<'_> {
    /// MariaDB's `SET STATEMENT a = 1, b = 2 FOR statement` is that statement.
    pub(super) fn set_statement(&mut self) {
        let mut parser = Parser::new(self.statement.start.clone());
        if !parser.words(&[K::Set, K::Statement]) || parser.token.is(b'=') {
            return;
        }
        self.mark(Marks::SET_STATEMENT);
        let mut depth = 0_u32;
        let mut at_name = true;
        while !parser.at_end() {
            if depth == 0 && parser.at(K::For) {
                break;
            }
            match parser.token.kind {
                TokenKind::Symbol(b'(') => depth += 1,
                TokenKind::Symbol(b')') => depth = depth.saturating_sub(1),
                TokenKind::Word | TokenKind::Quoted if at_name => {
                    let name = parser.name().unwrap_or_default().to_ascii_lowercase().into();
                    self.details().temporary_settings.push(name);
                    at_name = false;
                    continue;
                }
                _ => {}
            }
            at_name = depth == 0 && parser.token.is(b',');
            parser.advance();
        }
        self.statement.start = parser.lexer();
        parser.advance();
        let (kind, marks) = head::classify(parser);
        self.statement.kind = kind;
        self.mark(marks);
    }

    /// A text that runs inside this statement, or is prepared by it.
    pub(super) fn nested(&mut self, text: &[u8], actions: &mut [Action]) {
        let dialect = Dialect { multi_statements: false, ..self.dialect };
        let inner = analyze(text, &dialect, self.catalogue);
        if let [Action::Prepare { prepared, .. }] = actions {
            // Variables that it assigns to change their collation at once.
            let preparing = inner.preparing();
            self.mark(preparing.marks.without(Marks::OPAQUE));
            if !preparing.user_variables().is_empty() {
                let details = self.details();
                for variable in preparing.user_variables() {
                    details.note_user_variable(variable.name.clone(), variable.access);
                }
            }
            *prepared = Arc::new(inner);
            return;
        }
        self.mark(inner.marks);
        let Some(inner) = inner.details else { return };
        self.nested_sequences(&inner);
        let statement = self.count;
        let details = self.details();
        details.actions.extend(
            inner.actions.into_iter().map(|Placed { action, .. }| Placed { statement, action }),
        );
        details.temporary_settings.extend(inner.temporary_settings);
        details.impure.merge(&inner.impure);
        for variable in inner.user_variables {
            details.note_user_variable(variable.name, variable.access);
        }
    }
}
