//! Binary prepared statements: Millpond's numbers in front, the server's behind.

use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::diagnose::WithAnswers;
use super::placing::{Serves, Share};
use super::reply::BehindColumns;
use super::run::{Placed, Ran, Request};
use super::told::Told;
use super::typing::Typing;
use crate::session::parameters::Parameters;
use crate::session::pin::{Holds, PinReason};
use crate::session::prepared::{ClientStatement, Cursor, LongValues, StatementKey};
use crate::session::residue::Counts;
use crate::session::server::Flavor;
use crate::session::statement::{Analysis, DatabaseUse, StatementKind};
use crate::wire::capability::Status;
use crate::wire::command::{
    BulkExecute, CommandCode, Execute, LongData, put_parts, put_statement_command, statement_id,
};
use crate::wire::exchange::ReplyShape;
use crate::wire::frame::put_packet_with;
use std::sync::Arc;

/// The most bytes of text that the prepared statements of one client have together, beside a single
/// one, which may be as long as a command.
const MOST_TEXT: usize = 64 * 1024 * 1024;

impl Client {
    /// `COM_STMT_PREPARE`
    pub(super) async fn prepare(&mut self, sql: &[u8], sequence: u8) -> Result<(), Stop> {
        if let Some(told) = self.prepares_too_much(sql) {
            self.put_error(sequence.wrapping_add(1), &told);
            return Ok(());
        }
        let reader = self.service.reader.load_full();
        let mut analysis = reader.read(sql, &self.session.dialect);
        // A statement belongs to the database in which it was prepared.
        analysis.database = DatabaseUse::Minded;
        analysis.overlook(self.session.treatment.as_deref());
        self.place_sequences(&mut analysis);
        if self.service.may_fire_hidden(reader.catalogue(), &analysis, &self.session) {
            analysis.suspect();
        }
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
            lease.connection().statements.insert(&key, &None, prepared.id);
        }
        self.session.statements().insert(
            id,
            ClientStatement {
                key,
                environment,
                analysis,
                parameters: prepared.parameters,
                types: None,
                typed: Parameters::new(outcome.parameter_types),
                long_data: LongValues::default(),
                cursor: Cursor::Closed,
                only: tied.then_some(prepared.id),
            },
        );
        self.pin_statements();
        Ok(())
    }

    /// What the client is told when it has as many statements as the server allows all its clients,
    /// or more text of them than is kept for one.
    fn prepares_too_much(&mut self, sql: &[u8]) -> Option<Told> {
        let most = self.service.learned()?.server.max_prepared_statements;
        let statements = self.session.statements();
        if statements.len() >= most as usize {
            let text = format!(
                "Can't create more than max_prepared_stmt_count statements (current value: {most})"
            );
            return Some(Told::of_server(Told::TOO_MANY_STATEMENTS, *b"42000", text.into_bytes()));
        }
        let kept = statements.text();
        (kept > 0 && kept + sql.len() > MOST_TEXT).then(|| {
            let text = format!(
                "Out of memory: this connection's prepared statements have {kept} bytes of text, \
                 and may have no more than {MOST_TEXT} (close some)"
            );
            Told::of_server(1041, *b"HY000", text.into_bytes())
        })
    }

    /// `COM_STMT_EXECUTE`
    pub(super) async fn execute(&mut self, payload: &[u8], sequence: u8) -> Result<(), Stop> {
        let id = statement_id(payload)?;
        let capabilities = self.capabilities;
        let Some(statement) = self.session.statements().get_mut(id) else {
            return self.unknown_statement(id, "mysqld_stmt_execute", sequence).await;
        };
        let parameters = statement.parameters;
        let Ok(execute) = Execute::parse(payload, parameters, capabilities) else {
            return self.refuse(&self.malformed(payload, parameters), sequence).await;
        };
        if let Some(types) = execute.plain_types(parameters)
            && statement.types.as_deref() != Some(&*types)
        {
            statement.types = Some((&*types).into());
        }
        let Some(types) = statement.types.clone().or((parameters == 0).then(Default::default))
        else {
            return self.refuse(&self.not_bound(), sequence).await;
        };
        let analysis = statement.analysis.clone();
        let long_data = std::mem::take(&mut statement.long_data);
        self.close_cursor(id);
        if long_data.beyond_limit {
            return self.refuse(&Told::LONG_DATA_TOO_LARGE, sequence).await;
        }
        let wants_cursor = execute.wants_cursor();
        let counts = wants_cursor.then(|| self.count_in_words(&analysis)).flatten();
        // MariaDB has no cursors of other such, and sends the rows.
        let shows = !wants_cursor || self.session.dialect.flavor == Flavor::MariaDb;
        if shows && counts.is_none() && self.shows_own(id, &analysis, sequence).await? {
            return Ok(());
        }
        if analysis.opens_sequences() && !self.has_fit(sequence).await? {
            self.keep_long_data(id, long_data);
            return Ok(());
        }
        if self.uses_text_statements(&analysis)
            && !self.place_text_statements(&analysis, sequence).await?
        {
            self.keep_long_data(id, long_data);
            return Ok(());
        }
        let answered = match counts {
            Some(words) => self.with_answers(id, Some(words.0), &words.1, sequence).await?,
            None => self.with_answers(id, None, &analysis, sequence).await?,
        };
        let share = match &answered {
            WithAnswers::Some(key, _) if !wants_cursor && analysis.asks_only_its_number() => {
                Share::CachedAs(key.clone())
            }
            WithAnswers::Some(key, _) => Share::Instead(key.clone()),
            WithAnswers::None if wants_cursor => Share::Never,
            WithAnswers::None => Share::Cached,
            WithAnswers::Refused => {
                self.keep_long_data(id, long_data);
                return Ok(());
            }
        };
        let typing = self.typing(id, &execute, &types, &long_data);
        let Some(place) = self.place(id, sequence, share, &typing).await? else {
            self.keep_long_data(id, long_data);
            return Ok(());
        };
        let backend_id = place.backend_id;
        let mut request = Request::new(&analysis, ReplyShape::Execute, sequence);
        request.placed = Placed::Here;
        // No server opens one for a procedure's results; the flag tells of the procedure's own then.
        let may_open = wants_cursor && analysis.kind != StatementKind::Call;
        if may_open {
            request.behind_columns = BehindColumns::Cursor;
        }
        if let WithAnswers::Some(_, renames) = &answered {
            request.renames = renames;
        }
        let ran = self
            .run(request, |out, backend| {
                for (parameter, piece) in long_data.pieces() {
                    LongData::put(out, backend_id, parameter, piece);
                }
                put_packet_with(out, &mut 0, |out| {
                    execute.encode(backend_id, parameters, &types, backend, out);
                });
            })
            .await?;
        let Ran::Answered(outcome) = ran else {
            self.keep_long_data(id, long_data);
            return Ok(());
        };
        self.typed(id, typing);
        if outcome.error.is_some() {
            self.returned_unreported(id);
        }
        let open = may_open && outcome.status.is_some_and(|s| s.has(Status::CURSOR_EXISTS));
        if open && let Some(statement) = self.session.statements().get_mut(id) {
            statement.cursor = Cursor::Open { backend_id };
            self.pin_statements();
        } else if place.serves == Serves::Once {
            self.close_behind(backend_id);
        }
        Ok(())
    }

    /// An execution that is run again needs its long data again.
    fn keep_long_data(&mut self, id: u32, long_data: LongValues) {
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
        let Ok(bulk) = BulkExecute::parse(payload, statement.parameters) else {
            return self.refuse(&Told::malformed(Flavor::MariaDb), sequence).await;
        };
        if let Some(types) = bulk.types {
            statement.types = Some(types.into());
        }
        let Some(types) = statement.types.clone() else {
            return self.refuse(&self.not_bound(), sequence).await;
        };
        let analysis = statement.analysis.clone();
        let typing = Typing::default();
        let place = self.place(id, sequence, Share::Cached, &typing).await?;
        let Some(place) = place else { return Ok(()) };
        let backend_id = place.backend_id;
        let mut request = Request::new(&analysis, ReplyShape::Execute, sequence);
        request.placed = Placed::Here;
        self.run(request, |out, _| {
            put_packet_with(out, &mut 0, |out| bulk.encode(backend_id, &types, out));
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
        statement.append_long_data(piece.parameter, piece.data, limit);
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
        statement.long_data = LongValues::default();
        self.close_cursor(id);
        // Whether the transaction goes on.
        self.settle_error().await;
        self.session.counted = Counts::default();
        self.session.residue.row_count = 0;
        self.put_ok(sequence.wrapping_add(1));
        Ok(())
    }

    /// `COM_STMT_CLOSE`: there is no reply, not even for a statement that does not exist.
    pub(super) async fn close_statement(&mut self, payload: &[u8]) -> Result<(), Stop> {
        let id = statement_id(payload)?;
        self.close_cursor(id);
        let removed = self.session.statements().remove(id);
        if let Some(removed) = removed.filter(ClientStatement::is_tied) {
            if let Some(only) = removed.only {
                self.close_behind(only);
            }
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

    pub(super) fn pin_statements(&mut self) {
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

    /// What is wrong with an execution that ends too early: MariaDB tells where (measured).
    fn malformed(&self, payload: &[u8], parameters: u16) -> Told {
        const HEAD: usize = 9;
        let flavor = self.session.dialect.flavor;
        let nulls = HEAD..=HEAD + usize::from(parameters).div_ceil(8);
        if flavor == Flavor::MariaDb && nulls.contains(&payload.len()) {
            return Told::NOT_BOUND;
        }
        Told::malformed(flavor)
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
