//! What a client gets of a server's reply: OK packets in the form that the client negotiated, and
//! only the session trackers that it asked for.

mod ahead;
mod outcome;
mod owed;

use self::ahead::only_reads;
pub use self::ahead::{Ahead, BehindColumns, PassTrackers, Withhold};
pub use self::outcome::{Beside, Outcome, Prepared};
pub use self::owed::with_owed;

use super::query::RowForm;
use super::sequences::whole_number;
use super::told::Told;
use crate::backend::server::{TrackerDefaults, TransactionTracking};
use crate::net::relay::{Edit, Editor, Sink};
use crate::session::answers::{self, Rename};
use crate::session::parameters::Type;
use crate::session::residue::LastError;
use crate::wire::capability::{Capabilities, Status};
use crate::wire::exchange::Control;
use crate::wire::fault::Fault;
use crate::wire::frame::{HEADER, Header, put_lenenc_bytes, put_packet_with};
use crate::wire::reply::{ErrPacket, OkKind, OkPacket, Tracker, Trackers, put_tracker};
use crate::wire::resultset::ColumnDefinition;
use bytes::{BufMut, BytesMut};

/// `UNSIGNED_FLAG` of a definition.
const UNSIGNED: u16 = 0x20;

/// Rewrites one reply for one client, and remembers what it meant.
#[derive(Debug)]
pub struct ReplyEditor<'a> {
    /// What the client negotiated.
    pub client: Capabilities,
    /// What the backend connection negotiated.
    pub backend: Capabilities,
    /// The trackers of a client that set up none of its own.
    pub trackers: &'a TrackerDefaults,
    /// Whether trackers are passed on as they are: the client's own are in force.
    pub pass_trackers: PassTrackers,
    /// The number that the client gets for a statement that is prepared.
    pub statement_id: Option<u32>,
    /// What the client called what the server was told otherwise.
    pub renames: &'a [Rename],
    /// Which errors are not for the client.
    pub withhold: Withhold,
    /// What the session's status was before the command.
    pub status: Status,
    /// What the text consists of, for what is said in front of rows.
    pub ahead: Ahead<'a>,
    /// In which protocol its rows are.
    pub rows: RowForm,
    /// What is behind the definitions of columns.
    pub behind_columns: BehindColumns,
    /// Trackers that are the client's from before, until it gets them.
    pub owed: Option<Box<[u8]>>,
    /// What came out.
    pub outcome: Outcome,
    /// Packets inserted so far, which shift the sequence numbers that the client sees.
    inserted: u8,
    /// An EOF that stands between column definitions and rows, kept back until it is known that
    /// rows follow: where a cursor was opened, there is only one EOF.
    pending_eof: Option<u8>,
    /// Whether the result set under way is one of output parameters.
    is_outputs: bool,
}

impl<'a> ReplyEditor<'a> {
    /// An editor for one reply.
    pub fn new(client: Capabilities, backend: Capabilities, trackers: &'a TrackerDefaults) -> Self {
        Self {
            client,
            backend,
            trackers,
            pass_trackers: PassTrackers::Filtered,
            statement_id: None,
            renames: &[],
            withhold: Withhold::Nothing,
            status: Status::AUTOCOMMIT,
            ahead: Ahead::default(),
            rows: RowForm::Text,
            behind_columns: BehindColumns::Rows,
            owed: None,
            outcome: Outcome::default(),
            inserted: 0,
            pending_eof: None,
            is_outputs: false,
        }
    }

    fn ok(&mut self, kind: OkKind, packet: &[u8], sink: &mut Sink<'_>) -> Result<Edit, Fault> {
        let ok = OkPacket::parse(&packet[HEADER..], self.backend)?;
        self.outcome.changes.absorb(ok.state_changes);
        self.outcome.status = Some(ok.status);
        self.outcome.warnings = ok.warnings;
        self.outcome.affected_rows = ok.affected_rows;
        match matched_rows(ok.info) {
            Some(rows) => self.outcome.beside = Beside::Matched(rows),
            None if matches!(self.outcome.beside, Beside::Matched(_)) => {
                self.outcome.beside = Beside::Nothing;
            }
            None => {}
        }
        self.outcome.inserted_id |= ok.last_insert_id != 0 && kind == OkKind::Ok;
        self.outcome.is_rows = kind == OkKind::ResultEnd;
        let mut grown = 0;
        if self.pending_eof.is_some() {
            // Stored code's cursor has the flag set, too, while it is open.
            if ok.status.has(Status::CURSOR_EXISTS) && self.behind_columns == BehindColumns::Cursor
            {
                // The reply has just the one EOF that tells of the cursor.
                self.pending_eof = None;
            } else {
                grown = self.insert_eof(sink);
            }
        }
        self.ahead.ended(kind);
        let native = tells_trackers(self.client, kind);
        let owed = if native { self.owed.take() } else { None };
        if native
            && grown == 0
            && owed.is_none()
            && (ok.state_changes.is_empty() || self.pass_trackers == PassTrackers::All)
        {
            return Ok(Edit::Keep);
        }
        let all;
        let state_changes = match &owed {
            Some(owed) => {
                all = with_owed(owed, ok.state_changes);
                &all[..]
            }
            None => ok.state_changes,
        };
        let shown = self.shown(state_changes);
        let mut sequence = sequence(packet)?.wrapping_add(grown);
        let ok = OkPacket { state_changes: &shown, ..ok };
        put_packet_with(sink.open(), &mut sequence, |out| ok.encode(kind, self.client, out));
        Ok(Edit::Instead { grown })
    }

    /// The trackers that the client would have got from its own connection.
    fn shown(&self, state_changes: &[u8]) -> BytesMut {
        if !self.client.has(Capabilities::SESSION_TRACK) {
            return BytesMut::new();
        }
        match self.pass_trackers {
            PassTrackers::All => state_changes.into(),
            PassTrackers::Filtered => shown(self.trackers, state_changes),
        }
    }

    /// In a place between packets.
    fn eof_here(&mut self, sink: &mut Sink<'_>) -> Edit {
        match self.insert_eof(sink) {
            0 => Edit::Keep,
            grown => Edit::Instead { grown },
        }
    }

    fn insert_eof(&mut self, sink: &mut Sink<'_>) -> u8 {
        let Some(mut sequence) = self.pending_eof.take() else { return 0 };
        // Warnings are only known at the end, but those of a preparation have come already.
        let warnings = if self.outcome.prepared.is_some() { self.outcome.warnings } else { 0 };
        let status = self.outcome.status.unwrap_or(self.status);
        let mut status = status.without(Status::MORE_RESULTS | Status::SESSION_STATE_CHANGED);
        if self.ahead.has_more() {
            status = status | Status::MORE_RESULTS;
        }
        if std::mem::take(&mut self.is_outputs) {
            status = status | Status::PS_OUT_PARAMS;
        }
        put_packet_with(sink.open(), &mut sequence, |out| {
            out.put_u8(0xFE);
            out.put_u16_le(warnings);
            out.put_u16_le(status.0);
        });
        self.inserted = self.inserted.wrapping_add(1);
        1
    }
}

/// Whether a client of these capabilities gets trackers with such a packet.
pub(super) fn tells_trackers(client: Capabilities, kind: OkKind) -> bool {
    client.has(Capabilities::SESSION_TRACK)
        && (kind == OkKind::Ok || client.has(Capabilities::DEPRECATE_EOF))
}

/// Those of the trackers that a client gets that set up none of its own.
pub(super) fn shown(trackers: &TrackerDefaults, state_changes: &[u8]) -> BytesMut {
    let mut shown = BytesMut::new();
    for tracker in Trackers::new(state_changes) {
        // What is behind a part that cannot be read, its client cannot read either.
        let Ok(tracker) = tracker else { break };
        let show = match tracker {
            Tracker::SystemVariable { name, .. } => trackers.shows_variable(name),
            Tracker::Schema(_) => trackers.schema,
            Tracker::StateChange(_) => trackers.state_change,
            Tracker::Gtids(_) => trackers.gtids,
            Tracker::TransactionState(_) => trackers.transaction != TransactionTracking::Off,
            Tracker::TransactionCharacteristics(_) => {
                trackers.transaction == TransactionTracking::Characteristics
            }
            Tracker::Other { .. } => true,
        };
        if show {
            put_tracker(&mut shown, &tracker);
        }
    }
    shown
}

fn sequence(packet: &[u8]) -> Result<u8, Fault> {
    Header::parse(packet).map(|header| header.sequence).ok_or(Fault::Truncated)
}

impl Editor for ReplyEditor<'_> {
    fn control(
        &mut self,
        kind: Control,
        packet: &[u8],
        next: u8,
        sink: &mut Sink<'_>,
    ) -> Result<Edit, Fault> {
        match kind {
            Control::Ok => self.ok(OkKind::Ok, packet, sink),
            Control::ResultEnd => self.ok(OkKind::ResultEnd, packet, sink),
            Control::Err => {
                let error = ErrPacket::parse(&packet[HEADER..])?;
                let alone = self.outcome.status.is_none() && self.outcome.prepared.is_none();
                self.outcome.only_reads = only_reads(&error);
                if alone && self.withhold.withholds(&error) {
                    let message = error.message.to_vec();
                    self.outcome.withheld =
                        Some(Box::new(Told::of_server(error.code, error.sqlstate, message)));
                    return Ok(Edit::Instead { grown: 0 });
                }
                self.outcome.error = Some(error.code);
                self.outcome.last_error =
                    Some(LastError { code: error.code, sqlstate: error.sqlstate });
                if self.behind_columns == BehindColumns::Cursor {
                    // The definitions had no end, since nothing was opened (measured on both servers).
                    self.pending_eof = None;
                }
                let grown = self.insert_eof(sink);
                if grown == 0 && self.renames.is_empty() {
                    return Ok(Edit::Keep);
                }
                let mut sequence = sequence(packet)?.wrapping_add(grown);
                let payload = answers::rename(&packet[HEADER..], self.renames);
                put_packet_with(sink.open(), &mut sequence, |out| out.put_slice(&payload));
                Ok(Edit::Instead { grown })
            }
            Control::Column => {
                let mut sequence = sequence(packet)?;
                let payload = renamed(&packet[HEADER..], self.renames)?;
                put_packet_with(sink.open(), &mut sequence, |out| out.put_slice(&payload));
                Ok(Edit::Instead { grown: 0 })
            }
            Control::Parameter => {
                let definition = ColumnDefinition::parse(&packet[HEADER..])?;
                let is_unsigned = definition.flags & UNSIGNED != 0;
                let of = Type::of_definition(definition.kind, is_unsigned);
                self.outcome.parameter_types.push(of);
                Ok(Edit::Keep)
            }
            Control::ColumnsEnd | Control::ParametersEnd => {
                if self.client.has(Capabilities::DEPRECATE_EOF) {
                    return Ok(Edit::Keep);
                }
                self.pending_eof = Some(next);
                // Definitions of a prepared statement are followed by nothing that would tell.
                let now = kind == Control::ParametersEnd || self.outcome.prepared.is_some();
                Ok(if now { self.eof_here(sink) } else { Edit::Keep })
            }
            Control::RowsBegin => Ok(self.eof_here(sink)),
            Control::PrepareOk => {
                let (prepared, warnings) = prepared(packet)?;
                self.outcome.prepared = Some(prepared);
                self.outcome.warnings = warnings;
                let Some(id) = self.statement_id else { return Ok(Edit::Keep) };
                let out = sink.open();
                let at = out.len() + HEADER + 1;
                out.put_slice(packet);
                out[at..at + 4].copy_from_slice(&id.to_le_bytes());
                Ok(Edit::Instead { grown: 0 })
            }
            Control::OutputsBegin => {
                self.is_outputs = true;
                Ok(Edit::Keep)
            }
            Control::Outputs { packets } => {
                let end = last_packet(packet).ok_or(Fault::Truncated)?;
                let ok = OkPacket::parse(&end[HEADER..], self.backend)?;
                self.outcome.changes.absorb(ok.state_changes);
                Ok(Edit::Instead { grown: 0_u8.wrapping_sub(packets) })
            }
            Control::Row => {
                let value = whole_number(&packet[HEADER..], self.rows);
                self.outcome.beside = value.map_or(Beside::Nothing, Beside::Drawn);
                Ok(Edit::Keep)
            }
            Control::ColumnCount | Control::LocalInfile | Control::Statistics => Ok(Edit::Keep),
        }
    }
}

/// The last of several packets.
fn last_packet(mut packets: &[u8]) -> Option<&[u8]> {
    loop {
        let header = Header::parse(packets)?;
        let (_, rest) = packets.split_at_checked(HEADER + header.length)?;
        if rest.is_empty() {
            return Some(packets);
        }
        packets = rest;
    }
}

/// A column's definition with the names that the client knows.
fn renamed(definition: &[u8], renames: &[Rename]) -> Result<BytesMut, Fault> {
    let mut cursor = crate::wire::cursor::Cursor::new(definition);
    let mut out = BytesMut::with_capacity(definition.len());
    // Catalogue, schema, table and its own name, column and its own name.
    for _ in 0..6 {
        let name = answers::rename(cursor.lenenc_bytes()?, renames);
        put_lenenc_bytes(&mut out, &name);
    }
    out.put_slice(cursor.take_rest());
    Ok(out)
}

/// The number in "Rows matched: 3  Changed: 2  Warnings: 0".
fn matched_rows(info: &[u8]) -> Option<u64> {
    let rest = info.strip_prefix(b"Rows matched: ")?;
    let digits = rest.split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The head of the reply to `COM_STMT_PREPARE`, and the number of warnings in it.
fn prepared(packet: &[u8]) -> Result<(Prepared, u16), Fault> {
    let mut cursor = crate::wire::cursor::Cursor::new(packet.get(HEADER..).unwrap_or_default());
    cursor.skip(1)?;
    let id = cursor.u32()?;
    let columns = cursor.u16()?;
    let parameters = cursor.u16()?;
    cursor.skip(1)?;
    Ok((Prepared { id, columns, parameters }, cursor.u16()?))
}
