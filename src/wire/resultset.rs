//! Column definitions, and small text result sets of Millpond's own.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset.html>

use super::capability::{Capabilities, Status};
use super::cursor::Cursor;
use super::fault::Fault;
use super::frame::{put_lenenc_bytes, put_lenenc_int, put_packet, put_packet_with};
use super::reply::{OkKind, OkPacket};
use bytes::{BufMut, BytesMut};

/// What a column definition says, but for the names of where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnDefinition<'a> {
    /// The column's name as the client sees it.
    pub name: &'a [u8],
    /// The collation's number.
    pub collation: u16,
    /// The greatest length in bytes.
    pub length: u32,
    /// `enum_field_types`
    pub kind: u8,
    /// Column flags.
    pub flags: u16,
    /// Decimals.
    pub decimals: u8,
}

impl<'a> ColumnDefinition<'a> {
    /// Decodes a payload.
    ///
    /// # Errors
    ///
    /// When the payload ends early.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        for _catalog_schema_table_org_table in 0..4 {
            cursor.lenenc_bytes()?;
        }
        let name = cursor.lenenc_bytes()?;
        let _original_name = cursor.lenenc_bytes()?;
        // Twelve bytes of fixed fields follow; what else stands here is MariaDB's extension.
        if !(cursor.peek() == Some(0x0C) && cursor.remaining() == 13) {
            cursor.lenenc_bytes()?;
        }
        let _length_of_fixed_fields = cursor.lenenc_int()?;
        let collation = cursor.u16()?;
        let length = cursor.u32()?;
        let kind = cursor.u8()?;
        let flags = cursor.u16()?;
        Ok(Self { name, collation, length, kind, flags, decimals: cursor.u8()? })
    }

    /// Appends the payload of a column that comes from no table.
    pub fn encode(&self, out: &mut BytesMut) {
        put_lenenc_bytes(out, b"def");
        for _schema_table_org_table in 0..3 {
            put_lenenc_bytes(out, b"");
        }
        put_lenenc_bytes(out, self.name);
        put_lenenc_bytes(out, b"");
        put_lenenc_int(out, 0x0C);
        out.put_u16_le(self.collation);
        out.put_u32_le(self.length);
        out.put_u8(self.kind);
        out.put_u16_le(self.flags);
        out.put_u8(self.decimals);
        out.put_u16_le(0);
    }
}

/// A row of text, as the binary protocol has it: of texts, and whole numbers of four or eight
/// bytes. No value may be NULL.
///
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>
///
/// # Errors
///
/// When the row does not fit the columns.
pub fn binary_row(columns: &[Box<[u8]>], row: &[u8]) -> Result<Box<[u8]>, Fault> {
    const LONG: u8 = 3;
    const LONGLONG: u8 = 8;
    let mut cursor = Cursor::new(row);
    let mut out = BytesMut::new();
    out.put_u8(0);
    out.put_bytes(0, (columns.len() + 2).div_ceil(8));
    for column in columns {
        let value = cursor.text_value()?.ok_or(Fault::BadValue("a value"))?;
        let kind = ColumnDefinition::parse(column)?.kind;
        if kind != LONG && kind != LONGLONG {
            put_lenenc_bytes(&mut out, value);
            continue;
        }
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<i128>().ok());
        let bytes = number.ok_or(Fault::BadValue("a number"))?.to_le_bytes();
        out.put_slice(&bytes[..if kind == LONG { 4 } else { 8 }]);
    }
    Ok(Box::from(&out[..]))
}

/// The end of a result set, for a client with these capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultEnd<'a> {
    /// What the client negotiated.
    pub capabilities: Capabilities,
    /// Status flags.
    pub status: Status,
    /// Number of warnings.
    pub warnings: u16,
    /// Session trackers.
    pub state_changes: &'a [u8],
}

/// Appends a result set from the payloads of its column definitions and text rows.
pub fn put_result_set<'a>(
    out: &mut BytesMut,
    sequence: &mut u8,
    columns: &[impl AsRef<[u8]>],
    rows: impl Iterator<Item = &'a [u8]>,
    end: ResultEnd<'_>,
) {
    put_packet_with(out, sequence, |out| put_lenenc_int(out, columns.len() as u64));
    for column in columns {
        put_packet(out, sequence, column.as_ref());
    }
    if !end.capabilities.has(Capabilities::DEPRECATE_EOF) {
        put_end(out, sequence, ResultEnd { warnings: 0, ..end });
    }
    for row in rows {
        put_packet(out, sequence, row);
    }
    put_end(out, sequence, end);
}

fn put_end(out: &mut BytesMut, sequence: &mut u8, end: ResultEnd<'_>) {
    let ResultEnd { status, warnings, state_changes, .. } = end;
    let ok = OkPacket { status, warnings, state_changes, ..OkPacket::default() };
    put_packet_with(out, sequence, |out| ok.encode(OkKind::ResultEnd, end.capabilities, out));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_read_back_as_it_was_written() {
        let column = ColumnDefinition {
            name: b"n",
            collation: 63,
            length: 21,
            kind: 8,
            flags: 0x81,
            decimals: 0,
        };
        let mut out = BytesMut::new();
        column.encode(&mut out);
        assert_eq!(ColumnDefinition::parse(&out), Ok(column));
        for cut in 0..out.len() - 2 {
            assert_eq!(ColumnDefinition::parse(&out[..cut]), Err(Fault::Truncated));
        }
    }
}
