//! Reads the protocol's basic types from a byte slice, never beyond its end.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_data_types.html>

use super::fault::Fault;

/// A position in a packet's payload. Every read either advances by a whole field or fails with
/// [`Fault::Truncated`] and leaves the position where it was.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte of `payload`.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The unread bytes, without reading them.
    pub fn peek_rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next byte, without reading it.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Reads `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(Fault::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    /// Reads an array of a fixed length.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Fault::Truncated)?;
        self.rest = tail;
        Ok(*head)
    }

    /// Passes over `n` bytes.
    pub fn skip(&mut self, n: usize) -> Result<(), Fault> {
        self.bytes(n).map(|_| ())
    }

    /// Reads everything that is left.
    pub fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Reads an `int<1>`.
    pub fn u8(&mut self) -> Result<u8, Fault> {
        self.array::<1>().map(|[b]| b)
    }

    /// Reads an `int<2>`, little-endian as all integers of this protocol.
    pub fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_le_bytes)
    }

    /// Reads an `int<3>`.
    pub fn u24(&mut self) -> Result<u32, Fault> {
        self.array::<3>().map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    /// Reads an `int<4>`.
    pub fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    /// Reads an `int<8>`.
    pub fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads an `int<lenenc>`. The bytes `0xFB` (NULL in a row) and `0xFF` (an error's header) are
    /// not lengths and give [`Fault::BadValue`].
    pub fn lenenc_int(&mut self) -> Result<u64, Fault> {
        let saved = *self;
        let value = match self.u8()? {
            short @ 0..=0xFA => Ok(u64::from(short)),
            0xFC => self.u16().map(u64::from),
            0xFD => self.u24().map(u64::from),
            0xFE => self.u64(),
            0xFB | 0xFF => Err(Fault::BadValue("length-encoded integer")),
        };
        if value.is_err() {
            *self = saved;
        }
        value
    }

    /// Reads a `string<lenenc>`.
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8], Fault> {
        let saved = *self;
        let length = self.lenenc_int()?;
        let bytes =
            usize::try_from(length).map_err(|_| Fault::Truncated).and_then(|n| self.bytes(n));
        if bytes.is_err() {
            *self = saved;
        }
        bytes
    }

    /// Reads a value of a text row: `None` for NULL.
    pub fn text_value(&mut self) -> Result<Option<&'a [u8]>, Fault> {
        if self.peek() == Some(0xFB) {
            self.skip(1)?;
            return Ok(None);
        }
        self.lenenc_bytes().map(Some)
    }

    /// Reads a `string<NUL>`; the terminator is read and not returned.
    pub fn nul_bytes(&mut self) -> Result<&'a [u8], Fault> {
        let end = memchr::memchr(0, self.rest).ok_or(Fault::Truncated)?;
        let bytes = self.bytes(end)?;
        self.skip(1)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_read_leaves_the_position() {
        let mut cursor = Cursor::new(&[0xFC, 0x01]);
        assert_eq!(cursor.lenenc_int(), Err(Fault::Truncated));
        assert_eq!(cursor.remaining(), 2);
        let mut cursor = Cursor::new(&[5, b'a', b'b']);
        assert_eq!(cursor.lenenc_bytes(), Err(Fault::Truncated));
        assert_eq!(cursor.remaining(), 3);
    }

    #[test]
    fn a_length_beyond_memory_is_truncated() {
        let mut cursor = Cursor::new(&[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]);
        assert_eq!(cursor.lenenc_bytes(), Err(Fault::Truncated));
    }

    #[test]
    fn null_and_empty_differ() {
        let mut cursor = Cursor::new(&[0xFB, 0x00, 0x01, b'x']);
        assert_eq!(cursor.text_value(), Ok(None));
        assert_eq!(cursor.text_value(), Ok(Some(&b""[..])));
        assert_eq!(cursor.text_value(), Ok(Some(&b"x"[..])));
    }
}
