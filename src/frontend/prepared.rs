//! Binary prepared statements: Millpond's numbers in front, the server's behind.

use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::failure::Sent;
use super::run::{Placed, Ran, Request};
use super::told::Told;
use crate::backend::dialogue::{Content, Question};
use crate::session::align::{Alignment, align};
use crate::session::pin::{Holds, PinReason};
use crate::session::prepared::{ClientStatement, Cursor, StatementKey};
use crate::session::server::Flavor;
use crate::session::state::same;
use crate::session::statement::{Analysis, analyze};
use crate::wire::capability::Status;
use crate::wire::command::{
    BulkExecute, CommandCode, Execute, LongData, put_parts, put_statement_command, statement_id,
};
use crate::wire::exchange::ReplyShape;
use bytes::BytesMut;
use std::sync::Arc;

/// `ER_MAX_PREPARED_STMT_COUNT_REACHED`
const TOO_MANY_STATEMENTS: u16 = 1461;

impl Client {
    /// `COM_STMT_PREPARE`
    pub(super) async fn prepare(&mut self, sql: &[u8], sequence: u8) -> Result<(), Stop> {
        let catalogue = self.service.catalogue.load_full();
        let analysis = Arc::new(analyze(sql, &self.session.dialect, &catalogue));
        // The preparation itself does nothing but to variables that the text assigns to.
        let preparing = analysis.preparing();
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
        if let Some(lease) = &mut self.lease {
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
            },
        );
        Ok(())
    }

    /// `COM_STMT_EXECUTE`
    pub(super) async fn execute(&mut self, payload: &[u8], sequence: u8) -> Result<(), Stop> {
        let id = statement_id(payload)?;
        let capabilities = self.capabilities;
        let Some(statement) = self.session.statements().get_mut(id) else {
            return self.unknown_statement(id, "mysqld_stmt_execute", sequence);
        };
        let parameters = statement.parameters;
        let execute = Execute::parse(payload, parameters, capabilities)?;
        if let Some(types) = execute.plain_types(parameters) {
            statement.types = Some(types.into());
        }
        let Some(types) = statement.types.clone().or((parameters == 0).then(Default::default))
        else {
            self.put_error(sequence.wrapping_add(1), &Told::NOT_BOUND);
            return Ok(());
        };
        let analysis = statement.analysis.clone();
        let long_data = std::mem::take(&mut statement.long_data);
        self.close_cursor(id);
        let wants_cursor = execute.wants_cursor();
        let Some(backend_id) = self.place(id, sequence, wants_cursor).await? else {
            self.keep_long_data(id, long_data);
            return Ok(());
        };
        let mut request = Request::new(&analysis, ReplyShape::Execute, sequence);
        request.placed = Placed::Here;
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
        if wants_cursor {
            self.cursor_opened(id, backend_id, open);
        }
        Ok(())
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
            return self.unknown_statement(id, "mysqld_stmt_bulk_execute", sequence);
        };
        let bulk = BulkExecute::parse(payload, statement.parameters)?;
        if let Some(types) = bulk.types {
            statement.types = Some(types.into());
        }
        let Some(types) = statement.types.clone() else {
            self.put_error(sequence.wrapping_add(1), &Told::NOT_BOUND);
            return Ok(());
        };
        let analysis = statement.analysis.clone();
        let Some(backend_id) = self.place(id, sequence, false).await? else { return Ok(()) };
        let mut request = Request::new(&analysis, ReplyShape::Execute, sequence);
        request.placed = Placed::Here;
        self.run(request, |out, _| {
            let mut payload = BytesMut::with_capacity(payload.len() + 64);
            bulk.encode(backend_id, &types, &mut payload);
            put_parts(out, &[&payload]);
        })
        .await?;
        Ok(())
    }

    /// `COM_STMT_SEND_LONG_DATA`: kept until the execution; there is no reply.
    pub(super) fn send_long_data(&mut self, payload: &[u8]) {
        let limit = self.service.limits.max_packet;
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
            return self.unknown_statement(id, "mysqld_stmt_fetch", sequence);
        };
        let Cursor::Open { backend_id } = statement.cursor else {
            self.put_error(sequence.wrapping_add(1), &Told::no_open_cursor(id, flavor));
            return Ok(());
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
            return self.unknown_statement(id, "mysqld_stmt_reset", sequence);
        };
        statement.long_data.clear();
        self.close_cursor(id);
        self.session.warnings = 0;
        self.put_ok(sequence.wrapping_add(1));
        Ok(())
    }

    /// `COM_STMT_CLOSE`: there is no reply, not even for a statement that does not exist.
    pub(super) async fn close_statement(&mut self, payload: &[u8]) -> Result<(), Stop> {
        let id = statement_id(payload)?;
        self.close_cursor(id);
        self.session.statements().remove(id);
        Ok(())
    }

    /// Makes sure that the connection has the statement, and tells its number there.
    async fn place(&mut self, id: u32, sequence: u8, own: bool) -> Result<Option<u32>, Stop> {
        if self.borrow(sequence).await? == Borrowed::No {
            return Ok(None);
        }
        if !self.session.unsettled.is_settled() {
            // The environment may have to be put back exactly.
            self.settle().await;
        }
        let Some(statement) = self.session.statements().get_mut(id) else { return Ok(None) };
        let (key, environment) = (statement.key.clone(), statement.environment.clone());
        let analysis = statement.analysis.clone();
        // A reset would take the statement with it: it comes before.
        if !self.make_fit(&analysis, Placed::Anywhere, sequence).await? {
            return Ok(None);
        }
        let Some(lease) = &mut self.lease else {
            return self.connection_failed(sequence, Sent::Nothing).map(|()| None);
        };
        if !own && let Some(found) = lease.connection().statements.get_mut(&key) {
            return Ok(Some(found.id));
        }
        // A statement means what it meant in the environment of its preparation.
        let connection = lease.connection();
        if !same(&connection.environment, &environment) {
            match align(&connection.environment, &environment, &connection.baseline) {
                Alignment::Exact => {}
                Alignment::Replay(steps) => {
                    let session = self.session.environment.clone();
                    self.session.environment = environment;
                    let restored = self.restore_first(&steps, sequence).await;
                    self.session.environment = session;
                    if !restored? {
                        return Ok(None);
                    }
                }
                Alignment::LoginAgain => {
                    if let Some(lease) = self.lease.take() {
                        lease.discard();
                    }
                    return Box::pin(self.place(id, sequence, own)).await;
                }
            }
        }
        self.prepare_here(&key, sequence, own).await
    }

    async fn prepare_here(
        &mut self,
        key: &Arc<StatementKey>,
        sequence: u8,
        own: bool,
    ) -> Result<Option<u32>, Stop> {
        for attempt in 0..2 {
            let Some(lease) = &mut self.lease else { return Ok(None) };
            let connection = lease.connection();
            let Ok(replies) = connection.ask(&[Question::Prepare(key.sql())]).await else {
                self.connection_failed(sequence, Sent::Nothing)?;
                return Ok(None);
            };
            for reply in replies {
                match reply.content {
                    Content::Prepared { id } => {
                        if !own {
                            connection.statements.insert(key.clone(), id);
                        }
                        return Ok(Some(id));
                    }
                    Content::Err(error) if error.code == TOO_MANY_STATEMENTS && attempt == 0 => {
                        connection.close_some_statements().await.ok();
                    }
                    Content::Err(error) => {
                        let told = Told::passed_on(error);
                        self.put_error(sequence.wrapping_add(1), &told);
                        return Ok(None);
                    }
                    Content::Ok(_) | Content::Rows(_) => {}
                }
            }
        }
        Ok(None)
    }

    fn cursor_opened(&mut self, id: u32, backend_id: u32, open: bool) {
        if open && let Some(statement) = self.session.statements().get_mut(id) {
            statement.cursor = Cursor::Open { backend_id };
        } else if let Some(lease) = &mut self.lease {
            lease.connection().statements.close_later(backend_id);
        }
        self.pin_cursors();
    }

    /// A cursor has a statement of its own on the connection, which is closed with it.
    fn close_cursor(&mut self, id: u32) {
        let Some(statements) = &mut self.session.statements else { return };
        let Some(statement) = statements.get_mut(id) else { return };
        if let Cursor::Open { backend_id } = statement.cursor {
            statement.cursor = Cursor::Closed;
            if let Some(lease) = &mut self.lease {
                lease.connection().statements.close_later(backend_id);
            }
            self.pin_cursors();
        }
    }

    fn pin_cursors(&mut self) {
        let open = self.session.statements().has_open_cursor();
        self.session.pins.put(PinReason::Cursor, Holds::from(open));
    }

    fn unknown_statement(&mut self, id: u32, command: &str, sequence: u8) -> Result<(), Stop> {
        // MySQL checks the number in one place for all commands, and names that.
        let command = match self.session.dialect.flavor {
            Flavor::MariaDb => command,
            Flavor::MySql => "mysql_stmt_precheck",
        };
        let told = Told::unknown_statement(id, command);
        self.put_error(sequence.wrapping_add(1), &told);
        Ok(())
    }
}
