//! Questions about the last statement that the session answers: `GET DIAGNOSTICS` outside stored code,
//! and those in binary prepared statements.

use super::addition::Rows;
use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::failure::Sent;
use super::query::{RowForm, put};
use super::run::{Placed, Ran, Request};
use crate::session::answers::{self, Diagnosed, Rename, diagnosed};
use crate::session::catalogue::Catalogue;
use crate::session::prepared::StatementKey;
use crate::session::residue::Diagnostics;
use crate::session::server::Flavor;
use crate::session::statement::{
    Analysis, Asked, Diagnosis, Sole, StatementItem, StatementKind, analyze,
};
use crate::wire::command::Query;
use crate::wire::exchange::ReplyShape;
use std::sync::Arc;

impl Client {
    /// Answers with what the session knows of its last statement. False when the server's own
    /// answer is right, or nothing better can be had.
    pub(super) async fn diagnose(
        &mut self,
        query: &Query<'_>,
        analysis: &Analysis,
        sequence: u8,
    ) -> Result<bool, Stop> {
        let Some(wanted) = Diagnosis::parse(query.sql, &self.session.dialect) else {
            return Ok(false);
        };
        if self.borrow(sequence).await? == Borrowed::No
            || !self.make_fit(analysis, Placed::Anywhere, sequence).await?
        {
            return Ok(true);
        }
        if self.session.residue.diagnostics == Diagnostics::OnBackend
            && (counts_rows(&wanted) || !self.restores(analysis).is_empty())
        {
            // What Millpond says on the connection in between changes the server's count, and what
            // it would put in front of the statement clears what that asks for.
            self.bring().await;
        }
        match diagnosed(&self.session, &wanted) {
            Diagnosed::Set(sql) => {
                let query = Query { sql: &sql, ..*query };
                let request = Request::new(analysis, ReplyShape::Query, sequence);
                self.run(request, |out, backend| put(out, backend, &query)).await?;
                Ok(true)
            }
            Diagnosed::NoSuchCondition => {
                let earlier = match &self.session.residue.diagnostics {
                    Diagnostics::Captured(captured) => captured.rows.clone(),
                    _ => Rows::new(),
                };
                let request = Request::new(analysis, ReplyShape::Query, sequence);
                let ran = self.run(request, |out, backend| put(out, backend, query)).await?;
                if matches!(&ran, Ran::Answered(outcome) if outcome.warnings > 0) {
                    self.channel.flush().await?;
                    self.bring_diagnostics().await;
                    self.put_in_front(earlier);
                }
                Ok(true)
            }
            Diagnosed::Unknown => Ok(false),
        }
    }

    /// Brings here the warnings that a statement counts, where what will be said in front of it
    /// clears them. False when the client has been told that there is no connection any more.
    pub(super) async fn keep_counts(
        &mut self,
        analysis: &Analysis,
        sequence: u8,
    ) -> Result<bool, Stop> {
        let counts = |asked: &Asked| matches!(asked.asks, Sole::WarningCount | Sole::ErrorCount);
        if self.session.residue.diagnostics == Diagnostics::OnBackend
            && analysis.asked().iter().any(counts)
            && !self.restores(analysis).is_empty()
        {
            self.bring().await;
            if self.lease.is_none() {
                return self.connection_failed(sequence, Sent::Nothing).map(|()| false);
            }
        }
        Ok(true)
    }

    /// `SHOW COUNT(*) WARNINGS` and its like as the statement that MariaDB opens a cursor for (it
    /// gives that the same columns), with its analysis.
    pub(super) fn count_in_words(&self, analysis: &Analysis) -> Option<(&'static [u8], Analysis)> {
        if analysis.kind != StatementKind::Show || self.session.dialect.flavor != Flavor::MariaDb {
            return None;
        }
        let words: &[u8] = match analysis.sole? {
            Sole::WarningCount => b"SELECT @@session.warning_count",
            Sole::ErrorCount => b"SELECT @@session.error_count",
            _ => return None,
        };
        Some((words, analyze(words, &self.session.dialect, &Catalogue::default())))
    }

    /// The statement with what the session knows in the place of its questions for that. `words` are
    /// another text of the same meaning that has the question in it.
    pub(super) async fn with_answers(
        &mut self,
        id: u32,
        words: Option<&'static [u8]>,
        analysis: &Analysis,
        sequence: u8,
    ) -> Result<WithAnswers, Stop> {
        // What the session left on its last connection is here when it has the next.
        if analysis.asked().is_empty() {
            return Ok(WithAnswers::None);
        }
        let borrowed = self.borrow(sequence).await?;
        if borrowed == Borrowed::No || !self.keep_found_rows(analysis, sequence).await? {
            return Ok(WithAnswers::Refused);
        }
        if self.session.residue.has_answers_on_backend() {
            // What may have to be said before the execution, for the statement to be there, has
            // answers of its own.
            self.bring().await;
            if self.lease.is_none() {
                self.connection_failed(sequence, Sent::Nothing)?;
                return Ok(WithAnswers::Refused);
            }
        }
        let handle = self.entry.handle().id;
        let Some(statement) = self.session.statements().get_mut(id) else {
            return Ok(WithAnswers::None);
        };
        if statement.only.is_some() {
            return Ok(WithAnswers::None);
        }
        let (key, environment) = (statement.key.clone(), statement.environment.clone());
        let Some(lease) = &mut self.lease else { return Ok(WithAnswers::Refused) };
        let sequences = &lease.connection().traces.sequences;
        let run = answers::Run { last: borrowed.last_run(), sequences };
        let sql = words.unwrap_or_else(|| key.sql());
        let answered = answers::answered(&self.session, handle, sql, analysis, &run);
        Ok(answered.map_or(WithAnswers::None, |answered| {
            let key = Arc::new(StatementKey::new(&answered.sql, &environment));
            WithAnswers::Some(key, answered.renames)
        }))
    }

    /// MariaDB prepares `SHOW WARNINGS` and its like: answers it, where the connection cannot.
    pub(super) async fn shows_own(
        &mut self,
        id: u32,
        analysis: &Analysis,
        sequence: u8,
    ) -> Result<bool, Stop> {
        let Some(sole) = analysis.sole.filter(|_| analysis.kind == StatementKind::Show) else {
            return Ok(false);
        };
        let Some(statement) = self.session.statements().get_mut(id) else { return Ok(false) };
        let key = statement.key.clone();
        if self.borrow(sequence).await? == Borrowed::No {
            return Ok(true);
        }
        if self.session.dialect.flavor == Flavor::MariaDb
            && self.session.residue.diagnostics == Diagnostics::OnBackend
        {
            // The preparation that may have to come before would clear them.
            self.bring().await;
            if self.lease.is_none() {
                return self.connection_failed(sequence, Sent::Nothing).map(|()| true);
            }
        }
        self.answer_alone(sole, key.sql(), analysis, RowForm::Binary, sequence).await
    }
}

/// A prepared statement with answers in it.
pub(super) enum WithAnswers {
    /// It has no questions, or the connection knows better.
    None,
    /// Its text, and what to call things by in the reply.
    Some(Arc<StatementKey>, Vec<Rename>),
    /// There is no connection; the client has been told, or its command will be run again.
    Refused,
}

fn counts_rows(wanted: &Diagnosis<'_>) -> bool {
    matches!(wanted, Diagnosis::Statement(items)
        if items.iter().any(|(_, item)| *item == StatementItem::RowCount))
}
