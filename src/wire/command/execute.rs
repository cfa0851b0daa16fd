//! `COM_STMT_EXECUTE` and MariaDB's `COM_STMT_BULK_EXECUTE`.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute.html>,
//! <https://mariadb.com/kb/en/com_stmt_bulk_execute/>

use bytes::{BufMut, BytesMut};
use std::borrow::Cow;

use super::super::capability::Capabilities;
use super::super::cursor::Cursor;
use super::super::fault::Fault;
use super::super::frame::put_lenenc_int;
use super::CommandCode;
use super::{bitmap_length, parameter_count};

/// The flags of [`Execute::flags`] that ask for a cursor.
pub const CURSOR_FLAGS: u8 = 0x07;
/// The flag that announces a number of parameters where the statement itself has none.
pub const PARAMETER_COUNT_AVAILABLE: u8 = 0x08;
/// The flag of [`BulkExecute::flags`] that announces types.
const BULK_TYPES: u16 = 128;
/// Bytes of one parameter's type and sign.
const TYPE: usize = 2;
/// `MYSQL_TYPE_NULL`
const NULL: u8 = 6;

/// Arguments of `COM_STMT_EXECUTE`.
///
/// With `QUERY_ATTRIBUTES` the number of parameters comes first and each type has a name behind it,
/// and parameters beyond the statement's own are query attributes (as seen on MySQL 9.7: the
/// capability decides this, the flag matters only to a statement without parameters).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execute<'a> {
    /// The statement's number.
    pub statement_id: u32,
    /// Cursor flags, and what belongs to query attributes.
    pub flags: u8,
    /// Always 1.
    pub iterations: u32,
    /// Parameters in this packet, query attributes included.
    pub parameters: usize,
    /// One bit for each of them.
    pub null_bitmap: &'a [u8],
    /// Their types as they came (see [`Execute::plain_types`]); `None` if those of the execution
    /// before are to be taken.
    pub types: Option<Types<'a>>,
    /// Their values; none for NULLs and for those sent as long data.
    pub values: &'a [u8],
}

/// Types of parameters as one kind of client writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Types<'a> {
    /// Two bytes for each.
    Plain(&'a [u8]),
    /// Two bytes and a name for each, as with `QUERY_ATTRIBUTES`.
    Named(&'a [u8]),
}

impl<'a> Execute<'a> {
    /// Reads the arguments as sent by a client with these capabilities for a statement that has
    /// so many parameters.
    pub fn parse(
        arguments: &'a [u8],
        statement_parameters: u16,
        caps: Capabilities,
    ) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(arguments);
        let mut execute = Self {
            statement_id: cursor.u32()?,
            flags: cursor.u8()?,
            iterations: cursor.u32()?,
            parameters: usize::from(statement_parameters),
            null_bitmap: &[],
            types: None,
            values: &[],
        };
        let named = caps.has(Capabilities::QUERY_ATTRIBUTES);
        let counted = named && execute.flags & PARAMETER_COUNT_AVAILABLE != 0;
        if named && (statement_parameters > 0 || counted) {
            execute.parameters = parameter_count(&mut cursor)?;
            if execute.parameters < usize::from(statement_parameters) {
                return Err(Fault::BadValue("number of parameters"));
            }
        }
        if execute.parameters == 0 {
            return Ok(execute);
        }
        execute.null_bitmap = cursor.bytes(bitmap_length(execute.parameters))?;
        execute.types = match cursor.u8()? {
            0 => None,
            _ if named => Some(Types::Named(named_types(&mut cursor, execute.parameters)?)),
            _ => Some(Types::Plain(cursor.bytes(execute.parameters * TYPE)?)),
        };
        if execute.types.is_none() && execute.parameters != usize::from(statement_parameters) {
            return Err(Fault::BadValue("query attributes without types"));
        }
        execute.values = cursor.take_rest();
        Ok(execute)
    }

    /// Whether a cursor is asked for.
    pub fn wants_cursor(&self) -> bool {
        self.flags & CURSOR_FLAGS != 0
    }

    /// The types of the statement's own parameters, two bytes for each, to be kept for executions
    /// that come without; `None` if this one does.
    pub fn plain_types(&self, statement_parameters: u16) -> Option<Cow<'a, [u8]>> {
        let count = usize::from(statement_parameters);
        Some(match self.types? {
            Types::Plain(raw) => Cow::Borrowed(raw.get(..count * TYPE).unwrap_or(raw)),
            Types::Named(raw) => {
                let mut cursor = Cursor::new(raw);
                let mut plain = Vec::with_capacity(count * TYPE);
                for _ in 0..count {
                    let (Ok(kind), Ok(_)) = (cursor.bytes(TYPE), cursor.lenenc_bytes()) else {
                        break;
                    };
                    plain.extend_from_slice(kind);
                }
                Cow::Owned(plain)
            }
        })
    }

    /// Appends the payload for a server with these capabilities under another statement number, in
    /// any case with types: the packet's own, or `known` ones (as [`Execute::plain_types`] gave)
    /// where it has none. A server without `QUERY_ATTRIBUTES` gets the statement's parameters only;
    /// the values of attributes stay at the end, where servers ignore them.
    pub fn encode(
        &self,
        statement_id: u32,
        statement_parameters: u16,
        known: &[u8],
        caps: Capabilities,
        out: &mut BytesMut,
    ) {
        let named = caps.has(Capabilities::QUERY_ATTRIBUTES);
        let parameters = if named { self.parameters } else { usize::from(statement_parameters) };
        out.put_u8(CommandCode::StmtExecute.byte());
        out.put_u32_le(statement_id);
        let flags = self.flags & !PARAMETER_COUNT_AVAILABLE;
        out.put_u8(if named { flags | PARAMETER_COUNT_AVAILABLE } else { flags });
        out.put_u32_le(self.iterations);
        if named {
            put_lenenc_int(out, parameters as u64);
        }
        if parameters == 0 {
            return;
        }
        let bitmap = bitmap_length(parameters).min(self.null_bitmap.len());
        out.put_slice(&self.null_bitmap[..bitmap]);
        out.put_u8(1);
        match (self.types, named) {
            (Some(Types::Named(raw)), true) => out.put_slice(raw),
            (Some(Types::Plain(raw)), true) => put_unnamed(out, raw),
            (Some(_), false) => {
                out.put_slice(&self.plain_types(statement_parameters).unwrap_or_default());
            }
            (None, true) => put_unnamed(out, known),
            (None, false) => out.put_slice(known),
        }
        out.put_slice(self.values);
    }
}

fn named_types<'a>(cursor: &mut Cursor<'a>, parameters: usize) -> Result<&'a [u8], Fault> {
    let start = cursor.peek_rest();
    for _ in 0..parameters {
        cursor.skip(TYPE)?;
        cursor.lenenc_bytes()?;
    }
    Ok(&start[..start.len() - cursor.remaining()])
}

fn put_unnamed(out: &mut BytesMut, plain: &[u8]) {
    for kind in plain.chunks_exact(TYPE) {
        out.put_slice(kind);
        out.put_u8(0);
    }
}

/// What an execution gives one parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound<'a> {
    /// `enum_field_types`
    pub kind: u8,
    /// Whether a number has no sign.
    pub is_unsigned: bool,
    /// The value without its length; `None` is NULL.
    pub value: Option<&'a [u8]>,
}

impl<'a> Execute<'a> {
    /// What the statement's own parameters are given, of these types (as [`Execute::plain_types`]
    /// gave); `long` has the values that were sent ahead.
    ///
    /// # Errors
    ///
    /// When the values are not of these types.
    pub fn bound(
        &self,
        types: &[u8],
        long: impl Fn(u16) -> Option<&'a [u8]>,
    ) -> Result<Vec<Bound<'a>>, Fault> {
        let mut values = Cursor::new(self.values);
        let mut bound = Vec::with_capacity(types.len() / TYPE);
        for (at, kind) in (0..=u16::MAX).zip(types.chunks_exact(TYPE)) {
            let (kind, is_unsigned) = (kind[0], kind[1] & 0x80 != 0);
            let bits = self.null_bitmap.get(usize::from(at / 8)).ok_or(Fault::Truncated)?;
            let value = if let Some(value) = long(at) {
                Some(value)
            } else if bits & (1 << (at % 8)) != 0 || kind == NULL {
                None
            } else {
                Some(take_value(&mut values, kind)?)
            };
            bound.push(Bound { kind, is_unsigned, value });
        }
        Ok(bound)
    }
}

/// A value of the binary protocol, without its length.
fn take_value<'a>(values: &mut Cursor<'a>, kind: u8) -> Result<&'a [u8], Fault> {
    match kind {
        1 => values.bytes(1),
        2 | 13 => values.bytes(2),
        3 | 4 | 9 => values.bytes(4),
        5 | 8 => values.bytes(8),
        _ => values.lenenc_bytes(),
    }
}

/// Arguments of MariaDB's `COM_STMT_BULK_EXECUTE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkExecute<'a> {
    /// The statement's number.
    pub statement_id: u32,
    /// 64: answer for each row; 128: types follow.
    pub flags: u16,
    /// Two bytes for each parameter; `None` if those of the execution before are to be taken.
    pub types: Option<&'a [u8]>,
    /// Rows of values, an indicator in front of each value.
    pub rows: &'a [u8],
}

impl<'a> BulkExecute<'a> {
    /// Reads the arguments for a statement that has so many parameters.
    pub fn parse(arguments: &'a [u8], statement_parameters: u16) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(arguments);
        let statement_id = cursor.u32()?;
        let flags = cursor.u16()?;
        let types = match flags & BULK_TYPES {
            0 => None,
            _ => Some(cursor.bytes(usize::from(statement_parameters) * TYPE)?),
        };
        Ok(Self { statement_id, flags, types, rows: cursor.take_rest() })
    }

    /// Appends the payload under another statement number, in any case with types: the packet's
    /// own, or `known` ones where it has none.
    pub fn encode(&self, statement_id: u32, known: &[u8], out: &mut BytesMut) {
        out.put_u8(CommandCode::StmtBulkExecute.byte());
        out.put_u32_le(statement_id);
        out.put_u16_le(self.flags | BULK_TYPES);
        out.put_slice(self.types.unwrap_or(known));
        out.put_slice(self.rows);
    }
}
