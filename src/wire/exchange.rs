//! A machine without I/O that is fed a server's bytes and says where the reply to one command
//! ends, and which of its packets mean something.
//!
//! ```text
//!                ┌────────────── more results ───────────────┐
//!                ▼                                           │
//!  new ──▶ ExpectHead ── OK, ERR ─────────────────────────▶ Done
//!            │    └── LOCAL INFILE ─▶ ExpectFile ─ infile_sent ─▶ ExpectHead
//!            │ column count
//!            ▼
//!        ExpectColumns ─▶ ExpectFirstRow ─▶ ExpectRows ── end of rows, ERR ─▶ as OK, ERR
//! ```
//!
//! The server's side always has `PROTOCOL_41`, `DEPRECATE_EOF` and `SESSION_TRACK`. Rows are passed
//! in one go as far as the input reaches; a frame of 16 MiB is continued by the next without a look
//! at its payload.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html>

mod outputs;
mod step;

#[cfg(test)]
mod tests;

pub use self::outputs::Outputs;
pub use self::step::{Control, ReplyShape, Step};

use self::outputs::{Ahead, look_ahead};
use self::step::{Look, pass_or};
use super::capability::{Capabilities, Status};
use super::cursor::Cursor;
use super::fault::Fault;
use super::frame::{HEADER, Header};
use super::reply::OkPacket;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    ExpectColumns { left: u64 },
    ExpectFile,
    ExpectFirstRow,
    ExpectHead,
    ExpectParameters { left: u16, columns: u16 },
    ExpectPreparedColumns { left: u16 },
    ExpectRows,
}

/// The reply to one command.
#[derive(Debug, Clone)]
pub struct Exchange {
    shape: ReplyShape,
    state: State,
    /// Bytes of a passed frame that have not been in the input yet.
    open: usize,
    /// Whether the packet goes on in the next frame.
    continued: bool,
    /// The server's next sequence number.
    sequence: u8,
    /// What the client's numbers are ahead by.
    shift: u8,
    rows: u64,
    columns: u64,
    results: u32,
    bounds: Packets,
    definitions: Packets,
    seen_rows: Packets,
    outputs: Outputs,
}

/// Whether packets of some sort are controls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packets {
    Pass,
    Seen,
}

/// What of the back side's capabilities decides the form of OK packets.
const BACKEND: Capabilities = Capabilities::DEPRECATE_EOF.with(Capabilities::SESSION_TRACK);

impl Exchange {
    /// Expects the reply to a command whose last frame had the sequence number `sent`, and `heard`
    /// where it came from: with other attributes, numbers or text it may have become another
    /// number of frames.
    pub fn between(shape: ReplyShape, sent: u8, heard: u8) -> Self {
        let mut exchange = Self::new(shape);
        exchange.sequence = sent.wrapping_add(1);
        exchange.shift = heard.wrapping_sub(sent);
        exchange
    }

    /// Expects the reply to a command that was sent in one frame.
    pub fn new(shape: ReplyShape) -> Self {
        let state = match shape {
            ReplyShape::None => State::Done,
            ReplyShape::Fetch | ReplyShape::FieldList => State::ExpectRows,
            _ => State::ExpectHead,
        };
        Self {
            shape,
            state,
            open: 0,
            continued: false,
            sequence: 1,
            shift: 0,
            rows: 0,
            columns: 0,
            results: 0,
            bounds: Packets::Seen,
            definitions: Packets::Pass,
            seen_rows: Packets::Pass,
            outputs: Outputs::Pass,
        }
    }

    /// The heads of result sets, and the places between packets, will be no controls: nobody puts
    /// anything there, and a reply that comes whole passes in two steps.
    pub fn pass_bounds(&mut self) {
        self.bounds = Packets::Pass;
    }

    /// The definitions of columns and parameters will be controls: somebody wants to know or change
    /// them. Not those of the columns of a statement that is prepared.
    pub fn see_definitions(&mut self) {
        self.definitions = Packets::Seen;
    }

    /// Rows will be controls, but those that take more than a frame: for a reply of which somebody
    /// wants to know what is in it.
    pub fn see_rows(&mut self) {
        self.seen_rows = Packets::Seen;
    }

    /// Sets what is to become of output parameters.
    pub fn treat_outputs(&mut self, outputs: Outputs) {
        self.outputs = outputs;
    }

    /// From now on the client's sequence numbers are so many further ahead of the server's:
    /// headers are rewritten in place as they pass.
    pub fn shift_sequence(&mut self, by: u8) {
        self.shift = self.shift.wrapping_add(by);
    }

    /// How far the client's sequence numbers are ahead of the server's.
    pub fn shift(&self) -> u8 {
        self.shift
    }

    /// The client's file was sent; `sequence` is the number of the last, empty packet for the server.
    pub fn infile_sent(&mut self, sequence: u8) {
        if self.state == State::ExpectFile {
            self.state = State::ExpectHead;
            self.sequence = sequence.wrapping_add(1);
        }
    }

    /// The sequence number that the next packet to the client has.
    pub fn next_sequence(&self) -> u8 {
        self.sequence.wrapping_add(self.shift)
    }

    /// Rows of the result set that came last.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Columns of the result set that came last.
    pub fn columns(&self) -> u64 {
        self.columns
    }

    /// Results so far, the unfinished one included.
    pub fn results(&self) -> u32 {
        self.results
    }

    /// Whether the last packet that began to pass has passed whole.
    pub fn is_between_packets(&self) -> bool {
        self.open == 0 && !self.continued
    }

    /// Looks at the front of the input. The caller takes away exactly the bytes named before it
    /// asks again.
    ///
    /// # Errors
    ///
    /// When the bytes are no reply of this shape.
    pub fn step(&mut self, input: &mut [u8]) -> Result<Step, Fault> {
        let mut at = 0;
        loop {
            if self.open > 0 {
                let n = self.open.min(input.len() - at);
                at += n;
                self.open -= n;
                if self.open > 0 {
                    return Ok(pass_or(at, at + 1));
                }
            }
            if self.continued {
                let Some(header) = Header::parse(&input[at..]) else {
                    return Ok(pass_or(at, HEADER));
                };
                self.accept(header, &mut input[at..])?;
                at += HEADER;
                continue;
            }
            // A packet begins here. Places and controls are told apart from what passed before.
            match self.look(&input[at..])? {
                Look::Place(kind) if self.bounds == Packets::Pass => self.place(kind),
                Look::Control(Control::ColumnCount, length) if self.bounds == Packets::Pass => {
                    self.control(Control::ColumnCount, length, &mut input[at..])?;
                    at += length;
                }
                Look::Place(_) | Look::Control(..) | Look::Done if at > 0 => {
                    return Ok(Step::Pass(at));
                }
                Look::Done => return Ok(Step::Done),
                Look::NeedMore(n) => return Ok(pass_or(at, n)),
                Look::Place(kind) => {
                    self.place(kind);
                    return Ok(Step::Control { kind, length: 0 });
                }
                Look::Control(kind, length) => return self.control(kind, length, input),
                Look::Packet(header) => {
                    self.accept(header, &mut input[at..])?;
                    self.count();
                    at += HEADER;
                }
            }
        }
    }

    /// What begins at the front of `input`, without changing anything.
    fn look(&self, input: &[u8]) -> Result<Look, Fault> {
        match self.state {
            State::Done => return Ok(Look::Done),
            State::ExpectFile => {
                return Err(Fault::Unexpected { expected: "the end of the client's file" });
            }
            State::ExpectColumns { left: 0 } | State::ExpectPreparedColumns { left: 0 } => {
                return Ok(Look::Place(Control::ColumnsEnd));
            }
            State::ExpectParameters { left: 0, .. } => {
                return Ok(Look::Place(Control::ParametersEnd));
            }
            _ => {}
        }
        let Some(header) = Header::parse(input) else { return Ok(Look::NeedMore(HEADER)) };
        if header.sequence != self.sequence {
            let (expected, got) = (self.sequence, header.sequence);
            return Err(Fault::OutOfOrder { expected, got });
        }
        match self.state {
            State::ExpectHead => {
                if header.is_continued() {
                    return Err(Fault::TooLarge { limit: super::frame::MAX_PAYLOAD });
                }
                let length = HEADER + header.length;
                if input.len() < length {
                    return Ok(Look::NeedMore(length));
                }
                let kind = self.head(&input[HEADER..length])?;
                if kind == Control::ColumnCount && self.outputs != Outputs::Pass {
                    return self.outputs(input, length);
                }
                Ok(Look::Control(kind, length))
            }
            State::ExpectFirstRow | State::ExpectRows => self.row(header, input),
            State::ExpectColumns { .. }
                if self.definitions == Packets::Seen && !header.is_continued() =>
            {
                let length = HEADER + header.length;
                if input.len() < length {
                    return Ok(Look::NeedMore(length));
                }
                Ok(Look::Control(Control::Column, length))
            }
            State::ExpectParameters { .. }
                if self.definitions == Packets::Seen && !header.is_continued() =>
            {
                let length = HEADER + header.length;
                if input.len() < length {
                    return Ok(Look::NeedMore(length));
                }
                Ok(Look::Control(Control::Parameter, length))
            }
            _ => Ok(Look::Packet(header)),
        }
    }

    /// Whether a result set is one of output parameters.
    fn outputs(&self, input: &[u8], head: usize) -> Result<Look, Fault> {
        Ok(match (look_ahead(input)?, self.outputs) {
            (Ahead::NeedMore(n), _) => Look::NeedMore(n),
            (Ahead::Outputs { length, packets }, Outputs::Whole) => {
                Look::Control(Control::Outputs { packets: packets as u8 }, length)
            }
            (Ahead::Outputs { .. }, _) => Look::Control(Control::OutputsBegin, head),
            (Ahead::Other, _) => Look::Control(Control::ColumnCount, head),
        })
    }

    /// Which packet opens a reply or one of its results.
    fn head(&self, payload: &[u8]) -> Result<Control, Fault> {
        let Some(&first) = payload.first() else { return Err(Fault::Truncated) };
        match (self.shape, first) {
            (ReplyShape::Statistics, 0xFF) if payload.len() > 3 && payload[3] == b'#' => {
                Ok(Control::Err)
            }
            (ReplyShape::Statistics, _) => Ok(Control::Statistics),
            (_, 0xFF) => Ok(Control::Err),
            (ReplyShape::Prepare, 0x00) => Ok(Control::PrepareOk),
            (_, 0x00) => Ok(Control::Ok),
            (ReplyShape::Ok, 0xFE) => Ok(Control::ResultEnd),
            (ReplyShape::Query | ReplyShape::Execute, 0xFB) => Ok(Control::LocalInfile),
            (ReplyShape::Query | ReplyShape::Execute, 0x01..=0xFA | 0xFC..=0xFE) => {
                Ok(Control::ColumnCount)
            }
            _ => Err(Fault::Unexpected { expected: "the head of a reply" }),
        }
    }

    /// Whether a packet among the rows is a row.
    fn row(&self, header: Header, input: &[u8]) -> Result<Look, Fault> {
        let looks_like_end = !header.is_continued() && header.length > 0;
        if looks_like_end {
            let Some(&first) = input.get(HEADER) else {
                return Ok(Look::NeedMore(HEADER + 1));
            };
            // A row never begins with 0xFF, and with 0xFE only when its first value takes more
            // than a frame.
            if first >= 0xFE {
                let length = HEADER + header.length;
                if input.len() < length {
                    return Ok(Look::NeedMore(length));
                }
                let kind = if first == 0xFF { Control::Err } else { Control::ResultEnd };
                return Ok(Look::Control(kind, length));
            }
        }
        if self.state == State::ExpectFirstRow {
            return Ok(Look::Place(Control::RowsBegin));
        }
        if self.seen_rows == Packets::Seen && !header.is_continued() {
            let length = HEADER + header.length;
            let whole = input.len() >= length;
            return Ok(if whole {
                Look::Control(Control::Row, length)
            } else {
                Look::NeedMore(length)
            });
        }
        Ok(Look::Packet(header))
    }

    fn place(&mut self, kind: Control) {
        self.state = match (kind, self.state) {
            (Control::RowsBegin, _) => State::ExpectRows,
            (Control::ParametersEnd, State::ExpectParameters { columns, .. }) => {
                Self::prepared_columns(columns)
            }
            (_, State::ExpectPreparedColumns { .. }) => State::Done,
            _ if self.bounds == Packets::Pass => State::ExpectRows,
            _ => State::ExpectFirstRow,
        };
    }

    fn prepared_columns(columns: u16) -> State {
        if columns == 0 { State::Done } else { State::ExpectPreparedColumns { left: columns } }
    }

    /// A control packet is at the front of the input, whole.
    fn control(&mut self, kind: Control, length: usize, input: &mut [u8]) -> Result<Step, Fault> {
        let payload = &input[HEADER..length];
        let next = match kind {
            Control::Ok | Control::ResultEnd => {
                let ok = OkPacket::parse(payload, BACKEND)?;
                if kind == Control::Ok {
                    self.results += 1;
                }
                let several = matches!(self.shape, ReplyShape::Query | ReplyShape::Execute);
                if several && ok.status.has(Status::MORE_RESULTS) {
                    State::ExpectHead
                } else {
                    State::Done
                }
            }
            Control::LocalInfile => State::ExpectFile,
            Control::Outputs { packets } => {
                self.sequence = self.sequence.wrapping_add(packets);
                // The procedure's OK follows.
                self.state = State::ExpectHead;
                return Ok(Step::Control { kind, length });
            }
            Control::ColumnCount | Control::OutputsBegin => {
                self.columns = Cursor::new(payload).lenenc_int()?;
                self.rows = 0;
                self.results += 1;
                State::ExpectColumns { left: self.columns }
            }
            Control::PrepareOk => Self::prepared(payload)?,
            Control::Column | Control::Parameter | Control::Row => {
                self.count();
                self.state
            }
            _ => State::Done,
        };
        self.state = next;
        self.renumber(input);
        self.sequence = self.sequence.wrapping_add(1);
        Ok(Step::Control { kind, length })
    }

    fn prepared(payload: &[u8]) -> Result<State, Fault> {
        let mut cursor = Cursor::new(payload);
        cursor.skip(5)?;
        let columns = cursor.u16()?;
        let parameters = cursor.u16()?;
        Ok(match parameters {
            0 => Self::prepared_columns(columns),
            left => State::ExpectParameters { left, columns },
        })
    }

    /// Lets a frame pass whose header is at the front of `bytes`.
    fn accept(&mut self, header: Header, bytes: &mut [u8]) -> Result<(), Fault> {
        if header.sequence != self.sequence {
            let (expected, got) = (self.sequence, header.sequence);
            return Err(Fault::OutOfOrder { expected, got });
        }
        self.renumber(bytes);
        self.sequence = self.sequence.wrapping_add(1);
        self.open = header.length;
        self.continued = header.is_continued();
        Ok(())
    }

    fn renumber(&self, bytes: &mut [u8]) {
        if self.shift != 0 {
            bytes[HEADER - 1] = self.next_sequence();
        }
    }

    /// A packet that is no control has begun to pass.
    fn count(&mut self) {
        match &mut self.state {
            State::ExpectRows => self.rows += 1,
            State::ExpectColumns { left } => *left -= 1,
            State::ExpectParameters { left, .. } | State::ExpectPreparedColumns { left } => {
                *left -= 1;
            }
            _ => {}
        }
    }
}
