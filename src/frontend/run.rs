//! One command on a backend connection: borrow, align, send, relay, take in, give back.

use super::abandoned;
use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::cut::{come, interrupt};
use super::failure::Sent;
use super::query::RowForm;
use super::repetition::{Repetition, Undone};
use super::reply::{Ahead, BehindColumns, Outcome, PassTrackers, ReplyEditor, Withhold};
use super::told::Told;
use crate::backend::connection::Connection;
use crate::backend::dialogue::Question;
use crate::net::link::LinkError;
use crate::net::relay::{Leaving, RelayError, ServerSide, relay};
use crate::session::answers::Rename;
use crate::session::effect;
use crate::session::inherited;
use crate::session::inspection;
use crate::session::model::Session;
use crate::session::need::{self, Leftover};
use crate::session::pin::PinReason;
use crate::session::residue::FoundRows;
use crate::session::server::Flavor;
use crate::session::statement::{Analysis, Marks, StatementKind};
use crate::wire::capability::{Capabilities, Status};
use crate::wire::exchange::{Exchange, Outputs, ReplyShape};
use crate::wire::frame::last_sequence;
use bytes::BytesMut;
use tokio::time::Instant;

/// The most memory for commands that a backend connection keeps.
const KEPT_OUTPUT: usize = 4 * 1024;

/// A command on its way to a backend.
pub struct Request<'a> {
    /// What it does to the session.
    pub analysis: &'a Analysis,
    /// The kind of its reply.
    pub shape: ReplyShape,
    /// The sequence number of the client's last frame.
    pub sequence: u8,
    /// The number that the client gets for a statement that is prepared.
    pub statement_id: Option<u32>,
    /// Whether the command's bytes fit only the connection that the session has now.
    pub placed: Placed,
    /// What the reply has to call otherwise.
    pub renames: &'a [Rename],
    /// What the reply has behind the definitions of columns.
    pub behind_columns: BehindColumns,
}

impl<'a> Request<'a> {
    /// A command that fits any connection.
    pub fn new(analysis: &'a Analysis, shape: ReplyShape, sequence: u8) -> Self {
        Self {
            analysis,
            shape,
            sequence,
            statement_id: None,
            placed: Placed::Anywhere,
            renames: &[],
            behind_columns: BehindColumns::Rows,
        }
    }
}

/// Whether a command depends on what was done before on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It means the same on any connection.
    Anywhere,
    /// It names something of this connection's, such as a prepared statement's number.
    Here,
}

/// What became of a command.
#[derive(Debug)]
pub enum Ran {
    /// The client has, or will have, the server's answer.
    Answered(Outcome),
    /// It was not run; the client has been told why.
    Refused,
}

impl Client {
    /// Runs a command whose bytes `put` appends for the connection that it will run on.
    ///
    /// # Errors
    ///
    /// When the client has to go.
    pub async fn run(
        &mut self,
        request: Request<'_>,
        put: impl FnOnce(&mut BytesMut, Capabilities),
    ) -> Result<Ran, Stop> {
        // Of nothing that is sent from now on is more known than this says.
        self.repetition = Repetition::of(&request);
        self.undone = match Undone::of(request.analysis) {
            // The error may have ended the transaction: this statement may stand for itself.
            Undone::WithTransaction if self.session.unsettled.after_error => Undone::Unknown,
            undone => undone,
        };
        if self.borrow(request.sequence).await? == Borrowed::No {
            return Ok(Ran::Refused);
        }
        self.send_and_relay(request, put).await
    }

    async fn send_and_relay(
        &mut self,
        request: Request<'_>,
        put: impl FnOnce(&mut BytesMut, Capabilities),
    ) -> Result<Ran, Stop> {
        if self.session.unsettled.after_error && !self.capabilities.has(Capabilities::DEPRECATE_EOF)
        {
            // In front of the rows, this client hears whether a transaction goes on.
            self.settle_error().await;
        }
        let steps = self.steps(request.analysis, request.placed, request.sequence).await?;
        let Some(steps) = steps else {
            return Ok(Ran::Refused);
        };
        let proven = steps.is_empty() || self.go_in_front(&steps, &request);
        if !proven && !self.restore_first(&steps, request.sequence).await? {
            return Ok(Ran::Refused);
        }
        let Some(lease) = &mut self.lease else { return Ok(Ran::Refused) };
        let mut output = std::mem::take(&mut lease.connection().output);
        let closed = put_closes(lease.connection(), &mut output);
        if closed > 0 {
            lease.pool().metrics.statements_closed.inc_by(closed);
        }
        let connection = lease.connection();
        if proven {
            for step in &steps {
                Question::from(step).put(&mut output, connection.capabilities);
            }
        }
        let command = output.len();
        put(&mut output, connection.capabilities);
        let last = last_sequence(&output[command..]);
        if let Err(error) = connection.send(&output).await {
            tracing::debug!(%error, "a command could not be sent");
            self.connection_failed(request.sequence, Sent::Perhaps)?;
            return Ok(Ran::Refused);
        }
        if output.capacity() <= KEPT_OUTPUT {
            output.clear();
            connection.output = output;
        }
        if proven && !steps.is_empty() && !self.read_restores(&steps, &request).await? {
            return Ok(Ran::Refused);
        }
        self.relay_reply(request, last).await
    }

    /// Passes the reply on to the command whose `last` frame had this number.
    async fn relay_reply(&mut self, request: Request<'_>, last: u8) -> Result<Ran, Stop> {
        let withhold = self.withholds(request.shape);
        let mut due = self.due_at_work();
        let handle = due.is_some().then(|| self.entry.handle().clone());
        let owed = self.session.residue.take_owed();
        let Some(lease) = &mut self.lease else { return Ok(Ran::Refused) };
        let place = lease.pool().key().server;
        let interrupted = handle.map(|handle| (handle, lease.pool().clone()));
        let Connection { stream, input, server, capabilities, fence, .. } = lease.connection();
        let mut exchange = Exchange::between(request.shape, last, request.sequence);
        look_closely(&mut exchange, &request, self.capabilities, server.version.flavor);
        let mut editor = ReplyEditor::new(self.capabilities, *capabilities, &server.trackers);
        edit_for(&mut editor, &request, &self.session, server.version.flavor);
        editor.owed = owed;
        editor.withhold = match (&due, withhold) {
            (Some(due), Withhold::Nothing | Withhold::Statements { or_read_only: false }) => {
                Withhold::InterruptedAfter(due.at())
            }
            _ => withhold,
        };
        let side = ServerSide { stream, input };
        let before = self.channel.output.len();
        let limits = self.limits.load();
        let leaving = match abandoned::is_of_no_use(request.analysis, self.repetition) {
            true => Leaving::Noticed { limit: limits.max_packet },
            false => Leaving::Ignored,
        };
        let ways = (limits.result_buffer, leaving);
        let sent = Instant::now();
        let relayed = {
            let relaying = relay(side, &mut self.channel, &mut exchange, &mut editor, ways);
            tokio::pin!(relaying);
            loop {
                tokio::select! {
                    biased;
                    relayed = &mut relaying => break relayed,
                    // A server that was given up may never answer.
                    () = fence.closed() => break Err(RelayError::Server(LinkError::Closed)),
                    _ = come(&mut due) => {
                        // It answers all the same, and sooner.
                        due = None;
                        if let Some((handle, pool)) = &interrupted {
                            interrupt(handle.clone(), pool.clone(), &self.service.tasks);
                        }
                    }
                }
            }
        };
        self.session.residue.owe(editor.owed.take());
        let mut outcome = std::mem::take(&mut editor.outcome);
        outcome.rows = exchange.rows();
        match relayed {
            Ok(()) => {
                self.service.metrics.backend_seconds.observe(sent.elapsed().as_secs_f64());
                input.rest();
                if let Some(error) = outcome.withheld.take() {
                    return self.withheld(request, *error, outcome).await;
                }
                self.take_in(request.analysis, &outcome);
                if outcome.error.is_none() && self.releases(request.analysis) {
                    // The server has closed the connection.
                    if let Some(lease) = self.lease.take() {
                        lease.discard();
                    }
                    return Err(Stop::Released);
                }
                if outcome.only_reads {
                    self.refused_to_client(place).await?;
                }
                Ok(Ran::Answered(outcome))
            }
            Err(RelayError::Client(error)) => {
                if let Some(lease) = self.lease.take() {
                    match leaving {
                        Leaving::Noticed { .. } => abandoned::end(lease, &self.service),
                        Leaving::Ignored => lease.discard(),
                    }
                }
                Err(Stop::Client(error))
            }
            Err(RelayError::Server(error)) => {
                tracing::debug!(%error, "a backend connection failed in the middle of a reply");
                let unchanged = self.channel.output.len() == before;
                self.cut_off(&exchange, request.sequence, unchanged)
            }
        }
    }

    /// The server said that it did not run the command, and the client has not heard it.
    async fn withheld(
        &mut self,
        request: Request<'_>,
        error: Told,
        mut outcome: Outcome,
    ) -> Result<Ran, Stop> {
        if error.code == Told::INTERRUPTED.code {
            outcome.error = Some(error.code);
            self.take_in(request.analysis, &outcome);
            return self.interrupted(request.sequence).await;
        }
        match error.code {
            Told::TOO_MANY_STATEMENTS => self.refused_for_statements(error),
            _ => self.refused_by_reader(error),
        }
        Ok(Ran::Refused)
    }

    /// The server went away before the end of a reply to a command whose last frame had the number
    /// `sequence`; `unchanged` says that nothing of it waits for the client.
    fn cut_off(&mut self, exchange: &Exchange, sequence: u8, unchanged: bool) -> Result<Ran, Stop> {
        let untouched = unchanged && exchange.next_sequence() == sequence.wrapping_add(1);
        if !untouched && !exchange.is_between_packets() {
            // An error in the middle of a row cannot be told.
            return Err(Stop::StateLost);
        }
        let sequence = exchange.next_sequence().wrapping_sub(1);
        let sent = if untouched { Sent::Unanswered } else { Sent::Perhaps };
        self.connection_failed(sequence, sent)?;
        Ok(Ran::Refused)
    }

    /// The session and the connection after a statement.
    fn take_in(&mut self, analysis: &Analysis, outcome: &Outcome) {
        let Some(lease) = &mut self.lease else { return };
        let connection = lease.connection();
        let mut result = outcome.for_session();
        result.found_before = connection.traces.found_rows;
        let flavor = connection.server.version.flavor;
        let traces = &mut connection.traces;
        let found = traces.found_rows.map_or(FoundRows::OnBackend, FoundRows::Known);
        traces.found_rows = match effect::found_rows::after(found, analysis, &result, flavor) {
            FoundRows::Known(rows) => Some(rows),
            FoundRows::OnBackend | FoundRows::Left { .. } | FoundRows::Lost => None,
        };
        let on = effect::after(&mut self.session, analysis, &result, flavor);
        if result.changes.schema.is_some() || analysis.may_alter_databases() {
            let moment = self.service.moment();
            (connection.entered, self.session.entered) = (moment, moment);
        }
        if on.environment {
            connection.follow(&self.session.environment, result.changes.schema.is_some());
            let version = connection.server.version.clone();
            let baseline = connection.baseline.clone();
            self.session.environment_changed(&version, &baseline);
        }
        if let Some(present) = on.diagnostics {
            connection.traces.diagnostics =
                if present { Leftover::Present } else { Leftover::None };
        }
        if on.last_insert_id {
            connection.traces.last_insert_id = None;
        }
        if on.role {
            connection.traces.role = Leftover::Present;
        }
        if self.session.pins.has(PinReason::OptimizerTrace) {
            connection.traces.optimizer_traces = Leftover::Present;
        }
        connection.traces.next_transaction = need::next_transaction(&self.session);
        need::touched(&mut self.session, analysis, &mut connection.traces);
        inspection::made_table(analysis, outcome.error.is_none(), &mut connection.traces);
        if analysis.details.is_some() {
            need::drawn(&mut self.session, analysis, outcome.drawn(), &mut connection.traces);
            if outcome.error.is_none() {
                need::dropped(&mut self.session, analysis);
            }
        }
        if let Some(status) = outcome.status {
            connection.status = status;
        }
        if on.unproven {
            self.pool.proven.forget();
        }
        self.catalogue_changed |= on.catalogue;
        self.globals_changed |= inherited::changes(analysis);
        if analysis.marks.intersects(Marks::TEXT_PREPARE | Marks::TEXT_DEALLOCATE) {
            self.text_statements_follow(analysis);
        }
    }
}

/// Has the exchange show what of the reply is to be changed or known.
fn look_closely(
    exchange: &mut Exchange,
    request: &Request<'_>,
    client: Capabilities,
    flavor: Flavor,
) {
    // MySQL says what it takes the parameters for.
    let prepares = request.shape == ReplyShape::Prepare && flavor == Flavor::MySql;
    if prepares || !request.renames.is_empty() {
        exchange.see_definitions();
    }
    if client.has(Capabilities::DEPRECATE_EOF) {
        // An EOF in front of the rows is all that would be put between packets.
        exchange.pass_bounds();
    }
    if request.shape == ReplyShape::Execute && request.analysis.kind == StatementKind::Call {
        exchange.treat_outputs(outputs(client));
    }
    if request.analysis.draws_alone() {
        exchange.see_rows();
    }
}

/// What a client gets of a procedure's output parameters.
fn outputs(client: Capabilities) -> Outputs {
    if !client.has(Capabilities::PS_MULTI_RESULTS) {
        Outputs::Whole
    } else if client.has(Capabilities::DEPRECATE_EOF) {
        Outputs::Pass
    } else {
        Outputs::Announced
    }
}

/// What the client is to get of the reply, as far as its command and its session decide that.
fn edit_for<'a>(
    editor: &mut ReplyEditor<'a>,
    request: &Request<'a>,
    session: &Session,
    flavor: Flavor,
) {
    editor.statement_id = request.statement_id;
    editor.renames = request.renames;
    editor.behind_columns = request.behind_columns;
    editor.status = session.status;
    if matches!(request.shape, ReplyShape::Query | ReplyShape::Execute) {
        editor.ahead = Ahead::of(request.analysis);
        if request.shape == ReplyShape::Execute {
            editor.rows = RowForm::Binary;
        }
    }
    if request.analysis.marks.has(Marks::ENDS_TRANSACTION) {
        // Such as ANALYZE TABLE, which commits before it has anything to show.
        editor.status = editor.status.without(Status::IN_TRANS | Status::IN_TRANS_READONLY);
    } else if request.shape != ReplyShape::Prepare
        && looks_at_tables(request.analysis, flavor)
        && !editor.status.has(Status::AUTOCOMMIT)
    {
        // The first look at a table begins a transaction.
        editor.status = editor.status | Status::IN_TRANS;
    }
    if session.pins.has(PinReason::SessionTrack) {
        editor.pass_trackers = PassTrackers::All;
    }
}

/// Whether tables are read: MySQL's dictionary, too, consists of some.
fn looks_at_tables(analysis: &Analysis, flavor: Flavor) -> bool {
    const OTHERS: Marks = Marks::SHOW_DIAGNOSTICS.union(Marks::SHOW_VARIABLES);
    analysis.reads_tables
        || (flavor == Flavor::MySql && analysis.kind.shows() && !analysis.marks.intersects(OTHERS))
}

/// Statements that fell out of the connection's cache are closed with the next write; gives their
/// number.
fn put_closes(connection: &mut Connection, output: &mut BytesMut) -> u64 {
    let closed = connection.statements.take_to_close();
    for &id in &closed {
        crate::wire::command::put_statement_command(
            output,
            crate::wire::command::CommandCode::StmtClose,
            id,
            &[],
        );
    }
    closed.len() as u64
}
