//! `COM_QUERY`: the text decides what has to be done beside running it.

use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::failure::Sent;
use super::run::{Placed, Request};
use super::told::Told;
use crate::backend::dialogue::{Content, Question};
use crate::session::answers;
use crate::session::effect;
use crate::session::pin::{Holds, PinReason};
use crate::session::residue::{CapturedResult, Diagnostics, FoundRows};
use crate::session::statement::{Action, Analysis, Limit, Marks, Sole, StatementKind};
use crate::wire::capability::{Capabilities, Status};
use crate::wire::command::{CommandCode, Query, put_parts};
use crate::wire::exchange::ReplyShape;
use crate::wire::frame::put_lenenc_bytes;
use crate::wire::reply::OkKind;
use crate::wire::resultset::{ResultEnd, binary_row, put_result_set};
use bytes::BytesMut;
use std::borrow::Cow;

/// The session tracking variables as a client's own connection would have them.
const TRACKERS_OF_CLIENT: &[u8] = b"SET @@SESSION.session_track_system_variables=DEFAULT,\
@@SESSION.session_track_schema=DEFAULT,@@SESSION.session_track_state_change=DEFAULT,\
@@SESSION.session_track_transaction_info=DEFAULT";

impl Client {
    pub(super) async fn query(&mut self, payload: &[u8], sequence: u8) -> Result<(), Stop> {
        let query = Query::parse(payload, self.capabilities)?;
        let reader = self.service.reader.load();
        let mut analysis = reader.read(query.sql, &self.session.dialect);
        analysis.overlook(self.session.treatment.as_deref());
        self.place_sequences(&mut analysis);
        let mut analysis = self.executed(&analysis);
        if self.service.may_fire_hidden(reader.catalogue(), &analysis, &self.session) {
            analysis.to_mut().suspect();
        }
        drop(reader);
        if analysis.marks.has(Marks::KILL) && self.kill(&analysis, sequence).await? {
            return Ok(());
        }
        if let Some(sole) = analysis.sole
            && self.answer_alone(sole, query.sql, &analysis, RowForm::Text, sequence).await?
        {
            return Ok(());
        }
        if analysis.marks.has(Marks::GET_DIAGNOSTICS)
            && analysis.count == 1
            && self.diagnose(&query, &analysis, sequence).await?
        {
            return Ok(());
        }
        if analysis.kind == StatementKind::Resignal && analysis.count == 1 {
            return self.resignal(&query, &analysis, sequence).await;
        }
        if self.answer_status(query.sql, &analysis, sequence).await? {
            return Ok(());
        }
        let listed = analysis.marks.intersects(Marks::SHOW_VARIABLES | Marks::SESSION_TRACK)
            && !self.session.pins.has(PinReason::SessionTrack);
        if listed && !self.trackers_of_client(&analysis, sequence).await? {
            return Ok(());
        }
        let answered = if analysis.asked().is_empty() {
            None
        } else {
            // What the session left on its last connection is here when it has the next.
            let borrowed = self.borrow(sequence).await?;
            if borrowed == Borrowed::No
                || !self.make_fit(&analysis, Placed::Anywhere, sequence).await?
                || !self.keep_found_rows(&analysis, sequence).await?
                || !self.keep_counts(&analysis, sequence).await?
            {
                return Ok(());
            }
            let id = self.entry.handle().id;
            let Some(lease) = &mut self.lease else { return Ok(()) };
            let sequences = &lease.connection().traces.sequences;
            let run = answers::Run { last: borrowed.last_run(), sequences };
            answers::answered(&self.session, id, query.sql, &analysis, &run)
        };
        let mut request = Request::new(&analysis, ReplyShape::Query, sequence);
        let mut query = query;
        if let Some(answered) = &answered {
            request.renames = &answered.renames;
            query.sql = &answered.sql;
        }
        if self.uses_text_statements(&analysis) {
            if !self.place_text_statements(&analysis, sequence).await? {
                return Ok(());
            }
            request.placed = Placed::Here;
        }
        self.run(request, |out, backend| put(out, backend, &query)).await?;
        if listed && !self.session.pins.has(PinReason::SessionTrack) {
            self.channel.flush().await?;
            // Nobody was told whether it began a transaction. (SHOW does not, measured.)
            if (analysis.kind != StatementKind::Show || analysis.count > 1)
                && self.lease.is_some()
                && self.session.residue.next_transaction.take().is_some()
            {
                self.session.pins.put(PinReason::NextTransaction, Holds::Yes);
            }
            // The next statement on this connection clears them.
            self.bring_diagnostics().await;
            self.trackers_back().await;
        }
        Ok(())
    }

    /// What a statement does that executes another by name.
    fn executed<'a>(&self, analysis: &'a Analysis) -> Cow<'a, Analysis> {
        let mut merged = Cow::Borrowed(analysis);
        for placed in analysis.actions() {
            if let Action::Execute { name, .. } = &placed.action
                && let Some(own) = &self.session.text_statements
                && let Some(statement) = own.get(name)
            {
                merged = Cow::Owned(merged.executing(&statement.analysis));
            }
        }
        merged
    }

    /// Puts the session trackers of the client in force, so that it sees its own settings.
    async fn trackers_of_client(
        &mut self,
        analysis: &Analysis,
        sequence: u8,
    ) -> Result<bool, Stop> {
        // A reset would put Millpond's own in force again: it comes before.
        if self.borrow(sequence).await? == Borrowed::No
            || !self.make_fit(analysis, Placed::Anywhere, sequence).await?
        {
            return Ok(false);
        }
        self.settle_error().await;
        let Some(lease) = &mut self.lease else {
            return self.connection_failed(sequence, Sent::Nothing).map(|()| false);
        };
        if lease.connection().ask(&[Question::Query(TRACKERS_OF_CLIENT)]).await.is_err() {
            self.connection_failed(sequence, Sent::Nothing)?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Answers a question for what belongs to the session, when the connection that knows it is
    /// not at hand: the server is asked all the same, for the form of the answer, and the content
    /// is the session's own. False when the server's own answer is right.
    pub(super) async fn answer_alone(
        &mut self,
        sole: Sole,
        sql: &[u8],
        analysis: &Analysis,
        rows: RowForm,
        sequence: u8,
    ) -> Result<bool, Stop> {
        let borrowed = self.borrow(sequence).await?;
        if borrowed == Borrowed::No {
            return Ok(true);
        }
        if sole == Sole::FoundRows && !self.keep_found_rows(analysis, sequence).await? {
            return Ok(true);
        }
        if borrowed == Borrowed::Kept && !self.is_from_before(sole) {
            return Ok(false);
        }
        let Some(own) = self.own_answer(sole, analysis.limit()) else { return Ok(false) };
        if !self.align_now(analysis, sequence).await? {
            return Ok(true);
        }
        let Some(lease) = &mut self.lease else { return Ok(true) };
        let connection = lease.connection();
        let Ok(replies) = connection.ask(&[Question::Query(sql)]).await else {
            self.connection_failed(sequence, Sent::Nothing)?;
            return Ok(true);
        };
        let Some(reply) = replies.into_iter().next() else { return Ok(true) };
        self.reported(&reply.changes, None);
        self.owe(&reply.trackers);
        match reply.content {
            Content::Rows(answer) => {
                // After an error, only the server knows.
                let status = reply.status.filter(|_| self.session.unsettled.after_error);
                let status = status.unwrap_or(self.session.status);
                let form = Form { result: answer.result, warnings: reply.warnings, status, rows };
                self.put_own(own, form, analysis, sequence)?;
            }
            Content::Err(error) => {
                self.put_error(sequence.wrapping_add(1), &Told::passed_on(error));
            }
            Content::Ok(_) | Content::Prepared { .. } => {}
        }
        Ok(true)
    }

    /// Whether the session knows better than the connection that it has: from the time before
    /// that, since not every statement replaces what the one before it left.
    fn is_from_before(&self, sole: Sole) -> bool {
        let residue = &self.session.residue;
        match sole {
            // What Millpond says on the connection in between changes the server's count.
            Sole::ConnectionId | Sole::RowCount => true,
            // It is always a part of a text.
            Sole::LastValue => false,
            Sole::FoundRows => matches!(residue.found_rows, FoundRows::Known(_)),
            Sole::Errors | Sole::ErrorCount | Sole::WarningCount | Sole::Warnings => {
                matches!(residue.diagnostics, Diagnostics::Captured(_))
            }
        }
    }

    /// What the session knows by itself.
    fn own_answer(&self, sole: Sole, limit: Option<Limit>) -> Option<Own> {
        let residue = &self.session.residue;
        let captured = match &residue.diagnostics {
            Diagnostics::None => Some(CapturedResult::default()),
            Diagnostics::Captured(result) => Some((**result).clone()),
            Diagnostics::OnBackend | Diagnostics::Lost => None,
        };
        let limited = |rows: Vec<Box<[u8]>>| match limit {
            Some(Limit { offset, count }) => {
                let most = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
                rows.into_iter().skip(most(offset)).take(most(count)).collect()
            }
            None => rows,
        };
        Some(match sole {
            Sole::ConnectionId => Own::Value(self.entry.handle().id.to_string()),
            Sole::RowCount => Own::Value(residue.row_count.to_string()),
            Sole::LastValue => return None,
            Sole::FoundRows => match residue.found_rows {
                FoundRows::Known(rows) => Own::Value(rows.to_string()),
                _ => return None,
            },
            Sole::Warnings => Own::Rows(limited(captured?.rows)),
            Sole::Errors => Own::Rows(limited(captured?.errors().map(Box::from).collect())),
            Sole::WarningCount => {
                Own::Value(residue.condition_count(self.session.counted)?.to_string())
            }
            Sole::ErrorCount => Own::Value(residue.error_count(self.session.counted)?.to_string()),
        })
    }

    pub(super) fn put_own(
        &mut self,
        own: Own,
        form: Form,
        analysis: &Analysis,
        sequence: u8,
    ) -> Result<(), Stop> {
        let mut rows = match own {
            Own::Rows(rows) => rows,
            Own::Value(value) => {
                let mut row = BytesMut::new();
                put_lenenc_bytes(&mut row, value.as_bytes());
                vec![Box::from(&row[..])]
            }
        };
        if form.rows == RowForm::Binary {
            for row in &mut rows {
                *row = binary_row(&form.result.columns, row)?;
            }
        }
        let owed = self.take_owed(OkKind::ResultEnd);
        let end = ResultEnd {
            state_changes: &owed,
            capabilities: self.capabilities,
            status: form.status.without(Status::SESSION_STATE_CHANGED),
            warnings: form.warnings,
        };
        let mut sequence = sequence.wrapping_add(1);
        let output = &mut self.channel.output;
        let count = rows.len() as u64;
        put_result_set(
            output,
            &mut sequence,
            &form.result.columns,
            rows.iter().map(|row| &**row),
            end,
        );
        let changes = Default::default();
        let result = effect::Result {
            error: None,
            last_error: None,
            status: None,
            affected_rows: 0,
            matched_rows: None,
            found_before: None,
            inserted_id: false,
            warnings: form.warnings,
            rows: Some(count),
            changes: &changes,
        };
        let flavor = self.session.dialect.flavor;
        effect::after(&mut self.session, analysis, &result, flavor);
        Ok(())
    }
}

/// What the server says of an answer's form.
pub(super) struct Form {
    pub(super) result: CapturedResult,
    pub(super) warnings: u16,
    pub(super) status: Status,
    pub(super) rows: RowForm,
}

/// In which protocol an answer's rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowForm {
    /// That of `COM_QUERY`.
    Text,
    /// That of `COM_STMT_EXECUTE`.
    Binary,
}

/// What the session knows by itself.
pub(super) enum Own {
    Rows(Vec<Box<[u8]>>),
    Value(String),
}

/// Appends the query for a server with these capabilities.
pub(super) fn put(out: &mut BytesMut, backend: Capabilities, query: &Query<'_>) {
    let code = [CommandCode::Query.byte()];
    let attributes = match (backend.has(Capabilities::QUERY_ATTRIBUTES), query.attributes) {
        (false, _) => &[][..],
        (true, []) => &[0, 1],
        (true, attributes) => attributes,
    };
    put_parts(out, &[&code, attributes, query.sql]);
}
