//! OK, EOF and ERR packets, and the session trackers in OK packets.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_response_packets.html>

use super::capability::{Capabilities, Status};
use super::cursor::Cursor;
use super::fault::Fault;
use super::frame::{put_lenenc_bytes, put_lenenc_int};
use bytes::{BufMut, BytesMut};

/// Which of the two headers an OK packet has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OkKind {
    /// `0x00`: a statement without rows is done.
    Ok,
    /// `0xFE`: the rows are at their end. An EOF packet for a client without `DEPRECATE_EOF`.
    ResultEnd,
}

/// An OK packet, or an EOF packet in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OkPacket<'a> {
    /// Affected rows.
    pub affected_rows: u64,
    /// The insert id of this statement: not always what `LAST_INSERT_ID()` gives.
    pub last_insert_id: u64,
    /// Status flags.
    pub status: Status,
    /// Number of warnings.
    pub warnings: u16,
    /// Human-readable text.
    pub info: &'a [u8],
    /// The session trackers, undecoded; see [`Trackers`].
    pub state_changes: &'a [u8],
}

impl<'a> OkPacket<'a> {
    /// Decodes a payload that begins with `0x00` or `0xFE`. Five bytes are an EOF packet.
    ///
    /// # Errors
    ///
    /// When the payload ends early.
    pub fn parse(payload: &'a [u8], capabilities: Capabilities) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        let header = cursor.u8()?;
        if header == 0xFE && payload.len() == 5 {
            let warnings = cursor.u16()?;
            return Ok(Self { status: Status(cursor.u16()?), warnings, ..Self::default() });
        }
        let affected_rows = cursor.lenenc_int()?;
        let last_insert_id = cursor.lenenc_int()?;
        let status = Status(cursor.u16()?);
        let warnings = cursor.u16()?;
        let (mut info, mut state_changes) = (&[][..], &[][..]);
        if !capabilities.has(Capabilities::SESSION_TRACK) {
            info = cursor.take_rest();
        } else if !cursor.is_empty() {
            info = cursor.lenenc_bytes()?;
            if status.has(Status::SESSION_STATE_CHANGED) && !cursor.is_empty() {
                state_changes = trackers(&mut cursor)?;
            }
        }
        Ok(Self { affected_rows, last_insert_id, status, warnings, info, state_changes })
    }

    /// Appends the payload in the form for a side with these capabilities. The status bit of the
    /// trackers is set exactly when there are some.
    pub fn encode(&self, kind: OkKind, capabilities: Capabilities, out: &mut BytesMut) {
        let tracked = capabilities.has(Capabilities::SESSION_TRACK);
        let status = if tracked && !self.state_changes.is_empty() {
            self.status | Status::SESSION_STATE_CHANGED
        } else {
            self.status.without(Status::SESSION_STATE_CHANGED)
        };
        if kind == OkKind::ResultEnd && !capabilities.has(Capabilities::DEPRECATE_EOF) {
            out.put_u8(0xFE);
            out.put_u16_le(self.warnings);
            let status = self.status.without(Status::SESSION_STATE_CHANGED);
            out.put_u16_le(status.0);
            return;
        }
        out.put_u8(if kind == OkKind::Ok { 0x00 } else { 0xFE });
        put_lenenc_int(out, self.affected_rows);
        put_lenenc_int(out, self.last_insert_id);
        out.put_u16_le(status.0);
        out.put_u16_le(self.warnings);
        // The text has its length in front whether or not there are trackers (measured on both
        // servers; the documentation says otherwise).
        if tracked && !self.state_changes.is_empty() {
            put_lenenc_bytes(out, self.info);
            put_lenenc_bytes(out, self.state_changes);
        } else if !self.info.is_empty() {
            put_lenenc_bytes(out, self.info);
        }
    }
}

/// The trackers with their length in front. MariaDB writes that in the character set of the current
/// database, and so with zeros in front of it where that is ucs2, utf16 or utf32 (measured).
fn trackers<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Fault> {
    while cursor.peek() == Some(0) {
        cursor.skip(1)?;
    }
    if cursor.is_empty() { Ok(&[]) } else { cursor.lenenc_bytes() }
}

/// One entry of the session trackers.
///
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/mysql__com_8h.html>, `enum_session_state_type`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracker<'a> {
    /// `SESSION_TRACK_SYSTEM_VARIABLES`: one variable and its new value.
    SystemVariable {
        /// The variable.
        name: &'a [u8],
        /// Its value, as text.
        value: &'a [u8],
    },
    /// `SESSION_TRACK_SCHEMA`: the current database, empty for none.
    Schema(&'a [u8]),
    /// `SESSION_TRACK_STATE_CHANGE`: `1` when some state changed.
    StateChange(&'a [u8]),
    /// `SESSION_TRACK_GTIDS`, undecoded.
    Gtids(&'a [u8]),
    /// `SESSION_TRACK_TRANSACTION_CHARACTERISTICS`: statements that restore them.
    TransactionCharacteristics(&'a [u8]),
    /// `SESSION_TRACK_TRANSACTION_STATE`: eight letters.
    TransactionState(&'a [u8]),
    /// A tracker of a later server.
    Other {
        /// Its type.
        kind: u8,
        /// Its data, undecoded.
        data: &'a [u8],
    },
}

/// Goes through the session trackers of an OK packet.
#[derive(Debug, Clone)]
pub struct Trackers<'a> {
    rest: Cursor<'a>,
    /// MariaDB puts several variables into one entry.
    variables: Cursor<'a>,
}

impl<'a> Trackers<'a> {
    /// Starts at the first tracker.
    pub fn new(state_changes: &'a [u8]) -> Self {
        Self { rest: Cursor::new(state_changes), variables: Cursor::new(&[]) }
    }

    fn entry(&mut self) -> Result<Tracker<'a>, Fault> {
        if self.variables.is_empty() {
            let kind = self.rest.u8()?;
            let data = self.rest.lenenc_bytes()?;
            let mut inner = Cursor::new(data);
            match kind {
                0 => self.variables = inner,
                1 => return Ok(Tracker::Schema(inner.lenenc_bytes()?)),
                // Of all trackers of text, only this one's has no length of its own (measured).
                2 => return Ok(Tracker::StateChange(data)),
                3 => return Ok(Tracker::Gtids(data)),
                4 => return Ok(Tracker::TransactionCharacteristics(inner.lenenc_bytes()?)),
                5 => return Ok(Tracker::TransactionState(inner.lenenc_bytes()?)),
                kind => return Ok(Tracker::Other { kind, data }),
            }
        }
        let name = self.variables.lenenc_bytes()?;
        Ok(Tracker::SystemVariable { name, value: self.variables.lenenc_bytes()? })
    }
}

impl<'a> Iterator for Trackers<'a> {
    type Item = Result<Tracker<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() && self.variables.is_empty() {
            return None;
        }
        let entry = self.entry();
        if entry.is_err() {
            // Nothing behind a malformed entry can be trusted.
            *self = Self::new(&[]);
        }
        Some(entry)
    }
}

/// Appends one tracker, as MySQL writes it: one entry for each.
pub fn put_tracker(out: &mut BytesMut, tracker: &Tracker<'_>) {
    let mut entry = |kind: u8, parts: &[&[u8]]| {
        out.put_u8(kind);
        let mut data = BytesMut::new();
        for part in parts {
            put_lenenc_bytes(&mut data, part);
        }
        put_lenenc_bytes(out, &data);
    };
    match *tracker {
        Tracker::SystemVariable { name, value } => entry(0, &[name, value]),
        Tracker::Schema(name) => entry(1, &[name]),
        Tracker::TransactionCharacteristics(text) => entry(4, &[text]),
        Tracker::TransactionState(letters) => entry(5, &[letters]),
        Tracker::StateChange(data) => {
            out.put_u8(2);
            put_lenenc_bytes(out, data);
        }
        Tracker::Gtids(data) => {
            out.put_u8(3);
            put_lenenc_bytes(out, data);
        }
        Tracker::Other { kind, data } => {
            out.put_u8(kind);
            put_lenenc_bytes(out, data);
        }
    }
}

/// An ERR packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrPacket<'a> {
    /// The error number.
    pub code: u16,
    /// SQLSTATE
    pub sqlstate: [u8; 5],
    /// The text.
    pub message: &'a [u8],
}

impl<'a> ErrPacket<'a> {
    /// Decodes a payload that begins with `0xFF`. Before the handshake is done a server sends no
    /// SQLSTATE; `HY000` stands for it.
    ///
    /// # Errors
    ///
    /// When the payload ends early or is no error.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        if cursor.u8()? != 0xFF {
            return Err(Fault::Unexpected { expected: "an error packet" });
        }
        let code = cursor.u16()?;
        let mut sqlstate = *b"HY000";
        if cursor.peek() == Some(b'#') {
            cursor.skip(1)?;
            sqlstate = cursor.array()?;
        }
        Ok(Self { code, sqlstate, message: cursor.take_rest() })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(0xFF);
        out.put_u16_le(self.code);
        out.put_u8(b'#');
        out.put_slice(&self.sqlstate);
        out.put_slice(self.message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As MariaDB sends them where the current database is in latin1, ucs2 and utf32.
    #[test]
    fn trackers_are_found_behind_a_wide_length() {
        for zeros in [0, 1, 3] {
            let mut payload = b"\x00\x00\x00\x02\x40\x00\x00\x00".to_vec();
            payload.resize(payload.len() + zeros, 0);
            payload.extend_from_slice(b"\x08\x01\x03\x02e1\x02\x011");
            let ok = OkPacket::parse(&payload, Capabilities::SESSION_TRACK).unwrap();
            let trackers: Vec<_> = Trackers::new(ok.state_changes).map(Result::unwrap).collect();
            assert_eq!(trackers, [Tracker::Schema(b"e1"), Tracker::StateChange(b"1")]);
        }
    }

    #[test]
    fn a_status_without_trackers_behind_it_is_no_fault() {
        let payload = b"\x00\x00\x00\x02\x40\x00\x00\x00\x00";
        let ok = OkPacket::parse(payload, Capabilities::SESSION_TRACK).unwrap();
        assert_eq!(ok.state_changes, b"");
    }
}
