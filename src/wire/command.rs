//! Commands, as clients send them.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html>

mod execute;

pub use self::execute::{
    Bound, BulkExecute, CURSOR_FLAGS, Execute, PARAMETER_COUNT_AVAILABLE, Types,
};

use super::capability::Capabilities;
use super::cursor::Cursor;
use super::fault::Fault;
use super::frame::{HEADER, Header, MAX_PAYLOAD, put_lenenc_int};
use bytes::{BufMut, BytesMut};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $byte:literal,)*) => {
        /// The first byte of a command.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum CommandCode {
            $($(#[$doc])* $name = $byte,)*
        }

        impl CommandCode {
            /// The command that this byte stands for.
            pub fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($byte => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// `COM_QUIT`
    Quit = 0x01,
    /// `COM_INIT_DB`
    InitDb = 0x02,
    /// `COM_QUERY`
    Query = 0x03,
    /// `COM_FIELD_LIST`
    FieldList = 0x04,
    /// `COM_REFRESH`
    Refresh = 0x07,
    /// `COM_STATISTICS`
    Statistics = 0x09,
    /// `COM_PROCESS_INFO`
    ProcessInfo = 0x0A,
    /// `COM_PROCESS_KILL`
    ProcessKill = 0x0C,
    /// `COM_DEBUG`
    Debug = 0x0D,
    /// `COM_PING`
    Ping = 0x0E,
    /// `COM_CHANGE_USER`
    ChangeUser = 0x11,
    /// `COM_BINLOG_DUMP`
    BinlogDump = 0x12,
    /// `COM_TABLE_DUMP`
    TableDump = 0x13,
    /// `COM_REGISTER_SLAVE`
    RegisterReplica = 0x15,
    /// `COM_STMT_PREPARE`
    StmtPrepare = 0x16,
    /// `COM_STMT_EXECUTE`
    StmtExecute = 0x17,
    /// `COM_STMT_SEND_LONG_DATA`
    StmtSendLongData = 0x18,
    /// `COM_STMT_CLOSE`
    StmtClose = 0x19,
    /// `COM_STMT_RESET`
    StmtReset = 0x1A,
    /// `COM_SET_OPTION`
    SetOption = 0x1B,
    /// `COM_STMT_FETCH`
    StmtFetch = 0x1C,
    /// `COM_BINLOG_DUMP_GTID`
    BinlogDumpGtid = 0x1E,
    /// `COM_RESET_CONNECTION`
    ResetConnection = 0x1F,
    /// `COM_CLONE`
    Clone = 0x20,
    /// MariaDB's `COM_STMT_BULK_EXECUTE`
    StmtBulkExecute = 0xFA,
}

impl CommandCode {
    /// The byte that stands for this command.
    pub const fn byte(self) -> u8 {
        self as u8
    }
}

/// `COM_QUERY` behind its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// The query attributes as they were sent; empty when the client has not the capability.
    pub attributes: &'a [u8],
    /// The statement.
    pub sql: &'a [u8],
}

impl<'a> Query<'a> {
    /// Splits the payload behind the command's byte.
    ///
    /// # Errors
    ///
    /// When the attributes are malformed.
    pub fn parse(payload: &'a [u8], capabilities: Capabilities) -> Result<Self, Fault> {
        if !capabilities.has(Capabilities::QUERY_ATTRIBUTES) {
            return Ok(Self { attributes: &[], sql: payload });
        }
        let mut cursor = Cursor::new(payload);
        let parameters = cursor.lenenc_int()?;
        let _sets = cursor.lenenc_int()?;
        if parameters > 0 {
            let parameters = count(parameters)?;
            let nulls = cursor.bytes(parameters.div_ceil(8))?;
            if cursor.u8()? != 1 {
                return Err(Fault::BadValue("new-params-bound flag"));
            }
            let mut kinds = Vec::new();
            for _ in 0..parameters {
                kinds.push(cursor.u16()?);
                cursor.lenenc_bytes()?;
            }
            for (at, kind) in kinds.iter().enumerate() {
                if nulls[at / 8] & (1 << (at % 8)) == 0 {
                    skip_value(&mut cursor, *kind)?;
                }
            }
        }
        let head = payload.len() - cursor.remaining();
        Ok(Self { attributes: &payload[..head], sql: cursor.take_rest() })
    }
}

/// A packet cannot name more parameters than a prepared statement can have.
fn count(parameters: u64) -> Result<usize, Fault> {
    u16::try_from(parameters).map(usize::from).map_err(|_| Fault::BadValue("parameter count"))
}

/// Passes over one binary value.
///
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>
fn skip_value(cursor: &mut Cursor<'_>, kind: u16) -> Result<(), Fault> {
    match kind as u8 {
        0x06 => Ok(()),
        0x01 => cursor.skip(1),
        0x02 | 0x0D => cursor.skip(2),
        0x03 | 0x04 | 0x09 => cursor.skip(4),
        0x05 | 0x08 => cursor.skip(8),
        0x07 | 0x0A | 0x0B | 0x0C | 0x0E | 0x11 | 0x12 | 0x13 => {
            let length = cursor.u8()?;
            cursor.skip(usize::from(length))
        }
        _ => cursor.lenenc_bytes().map(|_| ()),
    }
}

/// Appends a `COM_QUERY` of Millpond's own, or of a client that sends no attributes, to a server
/// with these capabilities.
pub fn put_query(out: &mut BytesMut, capabilities: Capabilities, sql: &[u8]) {
    let attributes: &[u8] =
        if capabilities.has(Capabilities::QUERY_ATTRIBUTES) { &[0, 1] } else { &[] };
    put_parts(out, &[&[CommandCode::Query.byte()], attributes, sql]);
}

/// Appends one packet whose payload is the sum of `parts`, split into frames where it must be.
pub fn put_parts(out: &mut BytesMut, parts: &[&[u8]]) {
    let total: usize = parts.iter().map(|part| part.len()).sum();
    out.reserve(total + HEADER);
    if total < MAX_PAYLOAD {
        out.put_slice(&Header { length: total, sequence: 0 }.to_bytes());
        for part in parts {
            out.put_slice(part);
        }
        return;
    }
    super::frame::put_packet(out, &mut 0, &parts.concat());
}

/// The statement's number, with which most commands about prepared statements begin.
///
/// # Errors
///
/// When the payload is shorter.
pub fn statement_id(payload: &[u8]) -> Result<u32, Fault> {
    Cursor::new(payload).u32()
}

/// How many parameters a packet says that it has.
fn parameter_count(cursor: &mut Cursor<'_>) -> Result<usize, Fault> {
    count(cursor.lenenc_int()?)
}

/// Bytes of a bitmap of NULLs.
fn bitmap_length(parameters: usize) -> usize {
    parameters.div_ceil(8)
}

/// `COM_STMT_SEND_LONG_DATA` behind its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongData<'a> {
    /// The client's number of the statement.
    pub statement: u32,
    /// The parameter.
    pub parameter: u16,
    /// A piece of its value.
    pub data: &'a [u8],
}

impl<'a> LongData<'a> {
    /// Decodes the payload behind the command's byte.
    ///
    /// # Errors
    ///
    /// When the payload ends early.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        let statement = cursor.u32()?;
        Ok(Self { statement, parameter: cursor.u16()?, data: cursor.take_rest() })
    }

    /// Appends the command for the server's number of the statement.
    pub fn put(out: &mut BytesMut, statement: u32, parameter: u16, data: &[u8]) {
        let code = [CommandCode::StmtSendLongData.byte()];
        put_parts(out, &[&code, &statement.to_le_bytes(), &parameter.to_le_bytes(), data]);
    }
}

/// Appends a command that consists of its byte and a statement's number, and what follows.
pub fn put_statement_command(out: &mut BytesMut, code: CommandCode, statement: u32, rest: &[u8]) {
    put_parts(out, &[&[code.byte()], &statement.to_le_bytes(), rest]);
}

/// `COM_CHANGE_USER` behind its first byte.
///
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_change_user.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeUser<'a> {
    /// The new user.
    pub user: &'a [u8],
    /// The proof, made with the nonce of the connection's handshake.
    pub proof: &'a [u8],
    /// The new database; empty for none.
    pub database: &'a [u8],
    /// The new collation, where it was sent.
    pub collation: Option<u16>,
    /// The plugin that made the proof, where it was sent.
    pub plugin: Option<&'a [u8]>,
    /// Connection attributes, undecoded.
    pub attributes: &'a [u8],
}

impl<'a> ChangeUser<'a> {
    /// Decodes the payload behind the command's byte.
    ///
    /// # Errors
    ///
    /// When the payload ends early.
    pub fn parse(payload: &'a [u8], capabilities: Capabilities) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        let user = cursor.nul_bytes()?;
        let length = usize::from(cursor.u8()?);
        let proof = cursor.bytes(length)?;
        let database = if cursor.is_empty() { &[] } else { cursor.nul_bytes()? };
        let collation = if cursor.remaining() >= 2 { Some(cursor.u16()?) } else { None };
        let mut plugin = None;
        if capabilities.has(Capabilities::PLUGIN_AUTH) && !cursor.is_empty() {
            plugin = Some(cursor.nul_bytes()?);
        }
        Ok(Self { user, proof, database, collation, plugin, attributes: cursor.take_rest() })
    }
}

/// Appends query attributes that say there are none, where the server expects some.
pub fn put_no_attributes(out: &mut BytesMut, capabilities: Capabilities) {
    if capabilities.has(Capabilities::QUERY_ATTRIBUTES) {
        put_lenenc_int(out, 0);
        put_lenenc_int(out, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_is_given_another_number_and_types() {
        let payload = [7, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, b'v'];
        let execute = Execute::parse(&payload, 1, Capabilities::default()).expect("well-formed");
        assert_eq!((execute.statement_id, execute.types, execute.values), (7, None, &b"v"[..]));
        let mut out = BytesMut::new();
        execute.encode(9, 1, &[8, 0], Capabilities::default(), &mut out);
        assert_eq!(out[..], [0x17, 9, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 8, 0, b'v']);
        let mut out = BytesMut::new();
        execute.encode(9, 1, &[8, 0], Capabilities::QUERY_ATTRIBUTES, &mut out);
        let again =
            Execute::parse(&out[1..], 1, Capabilities::QUERY_ATTRIBUTES).expect("well-formed");
        assert_eq!(again.plain_types(1).as_deref(), Some(&[8, 0][..]));
        assert_eq!(again.values, b"v");
    }

    #[test]
    fn query_attributes_are_told_from_the_statement() {
        // One attribute "a" of type VAR_STRING with the value "xy".
        let payload = [1, 1, 0, 1, 0xFD, 0, 1, b'a', 2, b'x', b'y', b'D', b'O', b' ', b'1'];
        let query = Query::parse(&payload, Capabilities::QUERY_ATTRIBUTES).expect("well-formed");
        assert_eq!(query.sql, b"DO 1");
        assert_eq!(query.attributes.len(), 11);
        let query = Query::parse(b"DO 1", Capabilities::default()).expect("well-formed");
        assert_eq!((query.sql, query.attributes.len()), (&b"DO 1"[..], 0));
        let huge = [0xFE, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        assert!(Query::parse(&huge, Capabilities::QUERY_ATTRIBUTES).is_err());
    }
}
