//! The sequences that a statement names, and what its connection says of them.

use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::query::RowForm;
use super::run::Placed;
use crate::backend::dialogue::{Content, Question};
use crate::session::need;
use crate::session::pin::PinReason;
use crate::session::sequences::{Told, Within, put_questions};
use crate::session::statement::Analysis;
use crate::wire::capability::Status;
use crate::wire::cursor::Cursor;

impl Client {
    /// The transaction of which a question for a last value would be a part on the session's
    /// connection.
    pub(super) fn within(&self) -> Within {
        const HELD: [PinReason; 4] = [
            PinReason::Transaction,
            PinReason::Savepoint,
            PinReason::Xa,
            PinReason::NextTransaction,
        ];
        if HELD.iter().any(|reason| self.session.pins.has(*reason)) {
            Within::Session
        } else if self.session.status.has(Status::AUTOCOMMIT) {
            Within::Nothing
        } else {
            Within::ItsOwn
        }
    }

    /// Finds the databases of the sequences that a text names without.
    pub(super) fn place_sequences(&self, analysis: &mut Analysis) {
        if analysis.names_sequences()
            && let Some(learned) = self.service.learned()
        {
            let database = self.session.environment.database.as_deref();
            analysis.place_sequences(database, learned.server.names_ignore_case);
        }
    }

    /// Sees to it that the session has the connection on which its prepared statement will run: what
    /// that says of sequences decides what the statement says. False when the client has been told
    /// that there is none, or its command is run again.
    pub(super) async fn has_fit(&mut self, sequence: u8) -> Result<bool, Stop> {
        Ok(self.borrow(sequence).await? != Borrowed::No
            && self.make_fit(&Analysis::opaque(), Placed::Anywhere, sequence).await?)
    }

    /// Asks the connection for the last values of the sequences of which this statement may take
    /// one, where a former user left some that is not known. False when the connection failed.
    pub(super) async fn learn_sequences(&mut self, analysis: &Analysis) -> bool {
        let Some(lease) = &mut self.lease else { return false };
        let traces = &lease.connection().traces;
        let names = need::untold_sequences(&self.session, analysis, traces);
        if names.is_empty() {
            return true;
        }
        self.settle_error().await;
        if self.session.residue.found_rows.is_on_backend() {
            // The questions find rows of their own.
            self.bring().await;
        }
        let within = self.within();
        let Some(lease) = &mut self.lease else { return false };
        let mut queries = Vec::new();
        put_questions(&names, within, &mut queries);
        let questions: Vec<_> = queries.iter().map(|sql| Question::Query(sql)).collect();
        let Ok(replies) = lease.connection().ask(&questions).await else { return false };
        let traces = &mut lease.connection().traces.sequences;
        for (name, reply) in names.iter().zip(replies) {
            let told = match &reply.content {
                Content::Rows(answer) => answer.last_value(),
                Content::Err(error) => Told::error(error.code),
                Content::Ok(_) | Content::Prepared { .. } => Told::Nothing,
            };
            traces.told(name, told);
        }
        if within != Within::Session {
            self.session.residue.next_transaction_left();
        }
        true
    }
}

/// The only value of a row, if it is a whole number.
pub(super) fn whole_number(row: &[u8], form: RowForm) -> Option<i64> {
    match form {
        RowForm::Text => {
            let value = Cursor::new(row).text_value().ok()??;
            std::str::from_utf8(value).ok()?.parse().ok()
        }
        // A head, and a map of the values that are NULL.
        RowForm::Binary => match row {
            [0, 0, value @ ..] => Some(i64::from_le_bytes(value.try_into().ok()?)),
            _ => None,
        },
    }
}
