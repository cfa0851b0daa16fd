//! Binary prepared statements: Millpond's numbers in front, the server's behind.

use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::failure::Sent;
use super::query::RowForm;
use super::restore::Adopted;
use super::run::{Placed, Ran, Request};
use super::told::Told;
use crate::backend::dialogue::{Content, Question};
use crate::session::answers::{self, Rename};
use crate::session::pin::{Holds, PinReason};
use crate::session::prepared::{ClientStatement, Cursor, StatementKey};
use crate::session::server::Flavor;
use crate::session::statement::{Analysis, StatementKind, analyze};
use crate::wire::capability::Status;
use crate::wire::command::{
    BulkExecute, CommandCode, Execute, LongData, put_parts, put_statement_command, statement_id,
};
use crate::wire::exchange::ReplyShape;
use bytes::BytesMut;
use std::sync::Arc;

/// Which of the connection's statements will do for an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Share {
    /// Any of the same key.
    Cached,
    /// One of its own, such as for a cursor.
    Never,
    /// One of this key: the text with answers in it, which hardly any other execution has.
    Instead(Arc<StatementKey>),
}

/// Where an execution runs.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The server's number of the statement.
    backend_id: u32,
    serves: Serves,
}

/// How long the server's statement is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Serves {
    /// For other executions, too.
    Again,
    /// For this execution and its cursor.
    Once,
}

impl Client {
    /// `COM_STMT_PREPARE`
    pub(super) async fn prepare(&mut self, sql: &[u8], sequence: u8) -> Result<(), Stop> {
        let catalogue = self.service.catalogue.load_full();
        let mut analysis = analyze(sql, &self.session.dialect, &catalogue);
        analysis.overlook(self.session.treatment.as_deref());
        let analysis = Arc::new(analysis);
        // The preparation itself does nothing but to variables that the text assigns to.
        let preparing = analysis.preparing();
        // MySQL gives a statement the types that its user variables have now (measured).
        let tied = !analysis.user_variables().is_empty();
        if tied
            && (self.borrow(sequence).await? == Borrowed::No
                || !self.make_fit(&Analysis::opaque(), Placed::Anywhere, sequence).await?)
        {
            return Ok(());
        }
        self.settle_charsets().await;
        let key = Arc::new(StatementKey::new(sql, &self.session.environment));
        let environment = self.session.environment.clone();
        let id = self.session.statements().next_id();
        let mut request = Request::new(&preparing, ReplyShape::Prepare, sequence);
        request.statement_id = Some(id);
        let code = [CommandCode::StmtPrepare.byte()];
        let row_count = self.session.residue.row_count;
        let ran = self.run(request, |out, _| put_parts(out, &[&code, sql])).await?;
        let Ran::Answered(outcome) = ran else { return Ok(()) };
        let Some(prepared) = outcome.prepared else { return Ok(()) };
        // The last statement is still the one before (measured).
        self.session.residue.row_count = row_count;
        if !tied && let Some(lease) = &mut self.lease {
            lease.connection().statements.insert(key.clone(), prepared.id);
        }
        self.session.statements().insert(
            id,
            ClientStatement {
                key,
                environment,
                analysis,
                parameters: prepared.parameters,
                types: None,
                long_data: Vec::new(),
                cursor: Cursor::Closed,
                only: tied.then_some(prepared.id),
            },
        );
        self.pin_statements();
        Ok(())
    }

    /// `COM_STMT_EXECUTE`
    pub(super) async fn execute(&mut self, payload: &[u8], sequence: u8) -> Result<(), Stop> {
        let id = statement_id(payload)?;
        let capabilities = self.capabilities;
        let Some(statement) = self.session.statements().get_mut(id) else {
            return self.unknown_statement(id, "mysqld_stmt_execute", sequence).await;
        };
        let parameters = statement.parameters;
        let execute = Execute::parse(payload, parameters, capabilities)?;
        if let Some(types) = execute.plain_types(parameters) {
            statement.types = Some(types.into());
        }
        let Some(types) = statement.types.clone().or((parameters == 0).then(Default::default))
        else {
            return self.refuse(&self.not_bound(), sequence).await;
        };
        let analysis = statement.analysis.clone();
        let long_data = std::mem::take(&mut statement.long_data);
        self.close_cursor(id);
        let wants_cursor = execute.wants_cursor();
        if !wants_cursor && self.shows_own(id, &analysis, sequence).await? {
            return Ok(());
        }
        let answered = self.with_answers(id, &analysis, sequence).await?;
        let share = match &answered {
            Some((key, _)) => Share::Instead(key.clone()),
            None if wants_cursor => Share::Never,
            None => Share::Cached,
        };
        let Some(place) = self.place(id, sequence, share).await? else {
            self.keep_long_data(id, long_data);
            return Ok(());
        };
        let backend_id = place.backend_id;
        let mut request = Request::new(&analysis, ReplyShape::Execute, sequence);
        request.placed = Placed::Here;
        if let Some((_, renames)) = &answered {
            request.renames = renames;
        }
        let ran = self
            .run(request, |out, backend| {
                for (parameter, data) in &long_data {
                    LongData::put(out, backend_id, *parameter, data);
                }
                let mut payload = BytesMut::with_capacity(payload.len() + 64);
                execute.encode(backend_id, parameters, &types, backend, &mut payload);
                put_parts(out, &[&payload]);
            })
            .await?;
        let Ran::Answered(outcome) = ran else {
            self.keep_long_data(id, long_data);
            return Ok(());
        };
        let open = outcome.status.is_some_and(|s| s.has(Status::CURSOR_EXISTS));
        if open && let Some(statement) = self.session.statements().get_mut(id) {
            statement.cursor = Cursor::Open { backend_id };
        } else if place.serves == Serves::Once {
            self.close_behind(backend_id);
        }
        self.pin_statements();
        Ok(())
    }

    /// The statement with what the session knows in the place of its questions for that; `None`
    /// where it has none, or the connection knows better.
    async fn with_answers(
        &mut self,
        id: u32,
        analysis: &Analysis,
        sequence: u8,
    ) -> Result<Option<(Arc<StatementKey>, Vec<Rename>)>, Stop> {
        // What the session left on its last connection is here when it has the next; if it gets
        // none, it is told so where the statement is placed.
        if analysis.asked().is_empty() {
            return Ok(None);
        }
        let borrowed = self.borrow(sequence).await?;
        if borrowed == Borrowed::No {
            return Ok(None);
        }
        let handle = self.entry.handle().id;
        let Some(statement) = self.session.statements().get_mut(id) else { return Ok(None) };
        if statement.only.is_some() {
            return Ok(None);
        }
        let (key, environment) = (statement.key.clone(), statement.environment.clone());
        let last_run = borrowed.last_run();
        let answered = answers::answered(&self.session, handle, key.sql(), analysis, last_run);
        Ok(answered.map(|answered| {
            (Arc::new(StatementKey::new(&answered.sql, &environment)), answered.renames)
        }))
    }

    /// MariaDB prepares `SHOW WARNINGS` and its like: answers it, where the connection cannot.
    async fn shows_own(
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
        self.answer_alone(sole, key.sql(), analysis, RowForm::Binary, sequence).await
    }

    /// An execution that is run again needs its long data again.
    fn keep_long_data(&mut self, id: u32, long_data: Vec<(u16, Vec<u8>)>) {
        if self.is_unfinished()
            && let Some(statement) = self.session.statements().get_mut(id)
        {
            statement.long_data = long_data;
        }
    }

    /// MariaDB's `COM_STMT_BULK_EXECUTE`
    pub(super) async fn bulk_execute(&mut self, payload: &[u8], sequence: u8) -> Result<(), Stop> {
        let id = statement_id(payload)?;
        let Some(statement) = self.session.statements().get_mut(id) else {
            return self.unknown_statement(id, "mysqld_stmt_bulk_execute", sequence).await;
        };
        let bulk = BulkExecute::parse(payload, statement.parameters)?;
        if let Some(types) = bulk.types {
            statement.types = Some(types.into());
        }
        let Some(types) = statement.types.clone() else {
            return self.refuse(&self.not_bound(), sequence).await;
        };
        let analysis = statement.analysis.clone();
        let Some(place) = self.place(id, sequence, Share::Cached).await? else { return Ok(()) };
        let backend_id = place.backend_id;
        let mut request = Request::new(&analysis, ReplyShape::Execute, sequence);
        request.placed = Placed::Here;
        self.run(request, |out, _| {
            let mut payload = BytesMut::with_capacity(payload.len() + 64);
            bulk.encode(backend_id, &types, &mut payload);
            put_parts(out, &[&payload]);
        })
        .await?;
        if place.serves == Serves::Once {
            self.close_behind(backend_id);
        }
        Ok(())
    }

    /// `COM_STMT_SEND_LONG_DATA`: kept until the execution; there is no reply.
    pub(super) fn send_long_data(&mut self, payload: &[u8]) {
        let limit = self.service.limits().max_packet;
        let Ok(piece) = LongData::parse(payload) else { return };
        let Some(statement) = self.session.statements().get_mut(piece.statement) else { return };
        // What is beyond the limit fails at the execution, as it does on a server.
        if statement.long_data_size() + piece.data.len() <= limit {
            statement.append_long_data(piece.parameter, piece.data);
        }
    }

    /// `COM_STMT_FETCH`
    pub(super) async fn fetch(&mut self, payload: &[u8], sequence: u8) -> Result<(), Stop> {
        let id = statement_id(payload)?;
        let flavor = self.session.dialect.flavor;
        let Some(statement) = self.session.statements().get_mut(id) else {
            return self.unknown_statement(id, "mysqld_stmt_fetch", sequence).await;
        };
        let Cursor::Open { backend_id } = statement.cursor else {
            return self.refuse(&Told::no_open_cursor(id, flavor), sequence).await;
        };
        let analysis = Analysis::default();
        let mut request = Request::new(&analysis, ReplyShape::Fetch, sequence);
        request.placed = Placed::Here;
        let rest = &payload[4..];
        let ran = self
            .run(request, |out, _| {
                put_statement_command(out, CommandCode::StmtFetch, backend_id, rest);
            })
            .await?;
        if let Ran::Answered(outcome) = ran
            && outcome.status.is_some_and(|s| s.has(Status::LAST_ROW_SENT))
        {
            self.close_cursor(id);
        }
        Ok(())
    }

    /// `COM_STMT_RESET`: long data and an open cursor are forgotten.
    pub(super) async fn reset_statement(
        &mut self,
        payload: &[u8],
        sequence: u8,
    ) -> Result<(), Stop> {
        let id = statement_id(payload)?;
        let Some(statement) = self.session.statements().get_mut(id) else {
            return self.unknown_statement(id, "mysqld_stmt_reset", sequence).await;
        };
        statement.long_data.clear();
        self.close_cursor(id);
        if self.session.unsettled.after_error {
            // Whether the transaction goes on.
            self.settle_error().await;
        }
        self.session.warnings = 0;
        self.session.residue.row_count = 0;
        self.put_ok(sequence.wrapping_add(1));
        Ok(())
    }

    /// `COM_STMT_CLOSE`: there is no reply, not even for a statement that does not exist.
    pub(super) async fn close_statement(&mut self, payload: &[u8]) -> Result<(), Stop> {
        let id = statement_id(payload)?;
        self.close_cursor(id);
        let removed = self.session.statements().remove(id);
        if let Some(only) = removed.and_then(|statement| statement.only) {
            self.close_behind(only);
            self.pin_statements();
        }
        Ok(())
    }

    /// The server's statement is closed with the next write to it.
    fn close_behind(&mut self, backend_id: u32) {
        if let Some(lease) = &mut self.lease {
            lease.connection().statements.close_later(backend_id);
        }
    }

    /// Makes sure that the connection has the statement, and tells its number there.
    async fn place(
        &mut self,
        id: u32,
        sequence: u8,
        mut share: Share,
    ) -> Result<Option<Place>, Stop> {
        if self.borrow(sequence).await? == Borrowed::No {
            return Ok(None);
        }
        let Some(statement) = self.session.statements().get_mut(id) else { return Ok(None) };
        if let Some(backend_id) = statement.only {
            let left = std::mem::replace(&mut statement.cursor, Cursor::Closed) == Cursor::Left;
            if left
                && let Some(lease) = &mut self.lease
                && lease.connection().ask(&[Question::ResetStatement(backend_id)]).await.is_err()
            {
                return self.connection_failed(sequence, Sent::Nothing).map(|()| None);
            }
            return Ok(Some(Place { backend_id, serves: Serves::Again }));
        }
        let environment = statement.environment.clone();
        let key = match &share {
            Share::Instead(key) => key.clone(),
            Share::Cached | Share::Never => statement.key.clone(),
        };
        // A reset would take the statement with it: it comes before. Nor can a connection that is
        // held by a cursor be reset.
        let analysis = match share {
            Share::Cached => statement.analysis.clone(),
            Share::Never | Share::Instead(_) => Arc::new(Analysis::opaque()),
        };
        if !self.make_fit(&analysis, Placed::Anywhere, sequence).await? {
            return Ok(None);
        }
        let Some(lease) = &mut self.lease else {
            return self.connection_failed(sequence, Sent::Nothing).map(|()| None);
        };
        if share == Share::Cached
            && let Some(found) = lease.connection().statements.get_mut(&key).map(|found| found.id)
        {
            lease.pool().metrics.executions_cached.inc();
            return Ok(Some(Place { backend_id: found, serves: Serves::Again }));
        }
        match self.adopt(&environment, sequence).await? {
            Adopted::Exactly => {}
            Adopted::ButDatabase => {
                if share == Share::Cached {
                    share = Share::Never;
                }
            }
            Adopted::Elsewhere => return Box::pin(self.place(id, sequence, share)).await,
            Adopted::Not => return Ok(None),
        }
        let serves = if share == Share::Cached { Serves::Again } else { Serves::Once };
        let Some(backend_id) = self.prepare_here(&key, sequence, share).await? else {
            return Ok(None);
        };
        Ok(Some(Place { backend_id, serves }))
    }

    async fn prepare_here(
        &mut self,
        key: &Arc<StatementKey>,
        sequence: u8,
        share: Share,
    ) -> Result<Option<u32>, Stop> {
        let asked = self.ask_to_prepare(Question::Prepare(key.sql()), sequence).await?;
        let Some(Content::Prepared { id }) = asked else { return Ok(None) };
        if share == Share::Cached
            && let Some(lease) = &mut self.lease
        {
            lease.connection().statements.insert(key.clone(), id);
        }
        Ok(Some(id))
    }

    /// A cursor has a statement of its own on the connection, which is closed with it.
    fn close_cursor(&mut self, id: u32) {
        let Some(statements) = &mut self.session.statements else { return };
        let Some(statement) = statements.get_mut(id) else { return };
        if let Cursor::Open { backend_id } = statement.cursor {
            if statement.only.is_some() {
                statement.cursor = Cursor::Left;
            } else {
                statement.cursor = Cursor::Closed;
                self.close_behind(backend_id);
            }
            self.pin_statements();
        }
    }

    fn pin_statements(&mut self) {
        let Some(statements) = &self.session.statements else { return };
        let (open, tied) = (statements.has_open_cursor(), statements.has_tied_statement());
        self.session.pins.put(PinReason::Cursor, Holds::from(open));
        self.session.pins.put(PinReason::TiedStatement, Holds::from(tied));
    }

    /// What is wrong with an execution that relies on parameter types which were never sent.
    fn not_bound(&self) -> Told {
        match self.session.dialect.flavor {
            Flavor::MariaDb => Told::NOT_BOUND,
            Flavor::MySql => Told::MALFORMED,
        }
    }

    async fn unknown_statement(
        &mut self,
        id: u32,
        command: &str,
        sequence: u8,
    ) -> Result<(), Stop> {
        // MySQL checks the number in one place for all commands, and names that.
        let command = match self.session.dialect.flavor {
            Flavor::MariaDb => command,
            Flavor::MySql => "mysql_stmt_precheck",
        };
        self.refuse(&Told::unknown_statement(id, command), sequence).await
    }
}
