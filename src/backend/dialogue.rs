//! Millpond's own questions to a server, pipelined: restores, captures, set-up, flushes.
//!
//! Answers are gathered whole, so every read here is bounded.

use crate::net::buffer::ReadBuffer;
use crate::net::link::{LinkError, fill};
use crate::session::align::{Restore, SetOption};
use crate::session::changes::Changes;
use crate::session::parameters::{Given, put_execute};
use crate::session::residue::{Answer, Capture, CapturedResult, ColumnType};
use crate::wire::capability::{Capabilities, Status};
use crate::wire::command::{CommandCode, put_query};
use crate::wire::cursor::Cursor;
use crate::wire::exchange::{Control, Exchange, ReplyShape, Step};
use crate::wire::fault::Fault;
use crate::wire::frame::{HEADER, put_packet, put_packet_with};
use crate::wire::reply::{ErrPacket, OkPacket};
use crate::wire::resultset::ColumnDefinition;
use bytes::{BufMut, BytesMut};
use tokio::io::AsyncRead;

/// The most bytes that the answers to one question may take: far above what any of Millpond's own
/// questions gives, far below what would hurt.
pub const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// Something that Millpond itself says to a server.
#[derive(Debug, Clone, Copy)]
pub enum Question<'a> {
    /// `COM_STMT_EXECUTE` with values of these kinds; its rows are not decoded.
    Execute {
        /// The statement's number.
        id: u32,
        /// What its parameters are given.
        given: &'a [Given],
    },
    /// `COM_INIT_DB`
    InitDb(&'a [u8]),
    /// `COM_PING`
    Ping,
    /// `COM_STMT_PREPARE`
    Prepare(&'a [u8]),
    /// `COM_QUERY`
    Query(&'a [u8]),
    /// `COM_RESET_CONNECTION`
    Reset,
    /// `COM_STMT_RESET`
    ResetStatement(u32),
    /// `COM_SET_OPTION`
    SetOption(SetOption),
}

impl<'a> From<&'a Restore> for Question<'a> {
    fn from(restore: &'a Restore) -> Self {
        match restore {
            Restore::InitDb(database) => Self::InitDb(database),
            Restore::SetOption(option) => Self::SetOption(*option),
            Restore::Query(sql) => Self::Query(sql),
        }
    }
}

impl Question<'_> {
    /// Appends the command as packets.
    pub fn put(&self, out: &mut BytesMut, capabilities: Capabilities) {
        let mut sequence = 0;
        let simple = |out: &mut BytesMut, code: CommandCode, argument: &[u8]| {
            let payload = [&[code.byte()], argument].concat();
            put_packet(out, &mut 0, &payload);
        };
        match *self {
            Self::Execute { id, given } => put_packet_with(out, &mut sequence, |out| {
                put_execute(out, capabilities, id, given);
            }),
            Self::InitDb(database) => simple(out, CommandCode::InitDb, database),
            Self::Ping => simple(out, CommandCode::Ping, b""),
            Self::Prepare(sql) => simple(out, CommandCode::StmtPrepare, sql),
            Self::Query(sql) => put_query(out, capabilities, sql),
            Self::Reset => simple(out, CommandCode::ResetConnection, b""),
            Self::ResetStatement(id) => simple(out, CommandCode::StmtReset, &id.to_le_bytes()),
            Self::SetOption(option) => put_packet_with(out, &mut sequence, |out| {
                out.put_u8(CommandCode::SetOption.byte());
                out.put_u16_le(option as u16);
            }),
        }
    }

    /// What the reply looks like.
    pub fn shape(&self) -> ReplyShape {
        match self {
            Self::InitDb(_)
            | Self::Ping
            | Self::Reset
            | Self::ResetStatement(_)
            | Self::SetOption(_) => ReplyShape::Ok,
            Self::Execute { .. } => ReplyShape::Execute,
            Self::Prepare(_) => ReplyShape::Prepare,
            Self::Query(_) => ReplyShape::Query,
        }
    }
}

/// The answer to one question.
#[derive(Debug)]
pub struct Reply {
    /// What came.
    pub content: Content,
    /// What the trackers reported.
    pub changes: Changes,
    /// The trackers themselves, of the last result.
    pub trackers: Box<[u8]>,
    /// Warnings of the last result.
    pub warnings: u16,
    /// The status flags, where an OK ended the reply.
    pub status: Option<Status>,
}

/// What a server answered.
#[derive(Debug)]
pub enum Content {
    /// An error; the server's text is kept to be passed on.
    Err(ServerError),
    /// An OK.
    Ok(Status),
    /// A prepared statement.
    Prepared {
        /// Its number on this connection.
        id: u32,
    },
    /// A result set.
    Rows(Answer),
}

/// An error packet of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server answered with error {code} ({})", String::from_utf8_lossy(sqlstate))]
pub struct ServerError {
    /// The server's error number.
    pub code: u16,
    /// SQLSTATE
    pub sqlstate: [u8; 5],
    /// The text, in the connection's character set.
    pub message: Vec<u8>,
}

impl ServerError {
    /// Copies an error packet.
    pub fn from_packet(packet: &ErrPacket<'_>) -> Self {
        Self { code: packet.code, sqlstate: packet.sqlstate, message: packet.message.to_vec() }
    }
}

/// Reads the reply to one question and gathers it.
///
/// Not cancel safe: a part of the reply may have been read.
///
/// # Errors
///
/// When the connection is of no use any more; an error packet is an answer, not an error.
pub async fn read_reply<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut ReadBuffer,
    shape: ReplyShape,
    capabilities: Capabilities,
) -> Result<Reply, LinkError> {
    let mut exchange = Exchange::new(shape);
    let mut gathering = Gathering::new(capabilities, shape);
    loop {
        match exchange.step(input.filled_mut())? {
            Step::Done => return gathering.finish(),
            Step::NeedMore(n) => {
                if n > MAX_ANSWER {
                    return Err(Fault::TooLarge { limit: MAX_ANSWER }.into());
                }
                input.reserve(n);
                fill(stream, input).await?;
            }
            Step::Pass(n) => {
                gathering.pass(&input.filled()[..n])?;
                input.consume(n);
            }
            Step::Control { kind, length } => {
                gathering.control(kind, &input.filled()[..length])?;
                input.consume(length);
            }
        }
    }
}

/// Collects the packets of one reply.
struct Gathering {
    capabilities: Capabilities,
    shape: ReplyShape,
    content: Option<Content>,
    changes: Changes,
    warnings: u16,
    status: Option<Status>,
    trackers: Box<[u8]>,
    passed: Vec<u8>,
}

impl Gathering {
    fn new(capabilities: Capabilities, shape: ReplyShape) -> Self {
        Self {
            capabilities,
            shape,
            content: None,
            changes: Changes::default(),
            warnings: 0,
            status: None,
            trackers: Box::default(),
            passed: Vec::new(),
        }
    }

    fn pass(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.passed.len() + bytes.len() > MAX_ANSWER {
            return Err(Fault::TooLarge { limit: MAX_ANSWER });
        }
        self.passed.extend_from_slice(bytes);
        Ok(())
    }

    fn control(&mut self, kind: Control, packet: &[u8]) -> Result<(), LinkError> {
        let payload = packet.get(HEADER..).unwrap_or_default();
        match kind {
            Control::Ok => {
                let ok = OkPacket::parse(payload, self.capabilities)?;
                self.warnings = ok.warnings;
                self.status = Some(ok.status);
                self.changes.absorb(ok.state_changes);
                self.trackers = ok.state_changes.into();
                self.content = Some(Content::Ok(ok.status));
            }
            Control::ResultEnd => {
                let ok = OkPacket::parse(payload, self.capabilities)?;
                self.warnings = ok.warnings;
                self.status = Some(ok.status);
                self.changes.absorb(ok.state_changes);
                self.trackers = ok.state_changes.into();
                // COM_SET_OPTION ends with such a packet too, and has no rows.
                if !matches!(self.content, Some(Content::Rows(_))) {
                    self.content = Some(Content::Ok(ok.status));
                }
            }
            Control::Err => {
                let error = ErrPacket::parse(payload)?;
                self.content = Some(Content::Err(ServerError::from_packet(&error)));
            }
            Control::ColumnCount => {
                self.passed.clear();
                self.content = Some(Content::Rows(Answer::default()));
            }
            Control::ColumnsEnd => self.columns()?,
            Control::PrepareOk => {
                let mut cursor = Cursor::new(payload);
                cursor.skip(1)?;
                self.content = Some(Content::Prepared { id: cursor.u32()? });
            }
            Control::Column => self.pass(packet)?,
            Control::LocalInfile => {
                return Err(Fault::Unexpected { expected: "an answer to Millpond" }.into());
            }
            // Millpond calls no procedures.
            Control::Outputs { .. }
            | Control::OutputsBegin
            | Control::Parameter
            | Control::ParametersEnd
            | Control::Row
            | Control::RowsBegin
            | Control::Statistics => {}
        }
        Ok(())
    }

    fn columns(&mut self) -> Result<(), Fault> {
        let columns = packets(&self.passed)?;
        self.passed.clear();
        if let Some(Content::Rows(answer)) = &mut self.content {
            for column in &columns {
                let definition = ColumnDefinition::parse(column)?;
                answer.types.push(ColumnType {
                    code: definition.kind,
                    flags: definition.flags,
                    length: definition.length,
                    collation: definition.collation,
                });
            }
            answer.result.columns = columns;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Reply, LinkError> {
        if let Some(Content::Rows(answer)) = &mut self.content {
            answer.result.rows = packets(&self.passed)?;
            if let Some(row) = answer.result.rows.first()
                && self.shape != ReplyShape::Execute
            {
                let mut cursor = Cursor::new(row);
                for _ in &answer.types {
                    answer.first_row.push(cursor.text_value()?.map(<[u8]>::to_vec));
                }
            }
        }
        let content =
            self.content.ok_or(Fault::Unexpected { expected: "an answer to Millpond" })?;
        let Self { changes, trackers, warnings, status, .. } = self;
        Ok(Reply { content, changes, trackers, warnings, status })
    }
}

/// Splits gathered frames into payloads; none of Millpond's questions has an answer that takes
/// more than one frame for a packet.
fn packets(bytes: &[u8]) -> Result<Vec<Box<[u8]>>, Fault> {
    let mut cursor = Cursor::new(bytes);
    let mut packets = Vec::new();
    while !cursor.is_empty() {
        let length = cursor.u24()? as usize;
        cursor.skip(1)?;
        packets.push(cursor.bytes(length)?.into());
    }
    Ok(packets)
}

/// The answers to a capture; `None` where one is missing.
pub fn answers(capture: &Capture, replies: Vec<Reply>) -> Option<Vec<Answer>> {
    let answer = |(index, reply): (usize, Reply)| match reply.content {
        Content::Rows(answer) => Some(answer),
        Content::Err(error) if capture.may_fail(index) => {
            Some(Answer { error: Some(error.code), ..Answer::default() })
        }
        Content::Ok(_) if capture.may_fail(index) => Some(Answer::default()),
        _ => None,
    };
    replies.into_iter().enumerate().map(answer).collect()
}

/// The decoded rows of a result, each value a text or NULL.
///
/// # Errors
///
/// When a row has fewer values than there are columns.
pub fn rows(result: &CapturedResult) -> Result<Vec<Vec<Option<&[u8]>>>, Fault> {
    result
        .rows
        .iter()
        .map(|row| {
            let mut cursor = Cursor::new(row);
            result.columns.iter().map(|_| cursor.text_value()).collect()
        })
        .collect()
}
