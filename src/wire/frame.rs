//! Frames: the four-byte header in front of every packet, and payloads over 16 MiB in parts.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html>

use bytes::{BufMut, BytesMut};

/// Bytes of a frame's header: three of length, one of sequence number.
pub const HEADER: usize = 4;
/// The largest payload of one frame; a frame of this size is continued by the next.
pub const MAX_PAYLOAD: usize = 0xFF_FFFF;

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Length of the payload that follows, at most [`MAX_PAYLOAD`].
    pub length: usize,
    /// Sequence number within the exchange; wraps from 255 to 0.
    pub sequence: u8,
}

impl Header {
    /// Reads a header from the front of `bytes`; `None` when fewer than four are there.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, sequence] = *bytes.first_chunk::<HEADER>()?;
        Some(Self { length: u32::from_le_bytes([a, b, c, 0]) as usize, sequence })
    }

    /// Whether the packet goes on in another frame.
    pub fn is_continued(&self) -> bool {
        self.length == MAX_PAYLOAD
    }

    /// The header's four bytes.
    pub fn to_bytes(self) -> [u8; HEADER] {
        let [a, b, c, _] = (self.length as u32).to_le_bytes();
        [a, b, c, self.sequence]
    }
}

/// The number of the last of these whole frames; 0 when there is none.
pub fn last_sequence(mut bytes: &[u8]) -> u8 {
    let mut last = 0;
    while let Some(header) = Header::parse(bytes) {
        last = header.sequence;
        bytes = bytes.get(HEADER + header.length..).unwrap_or_default();
    }
    last
}

/// Appends `payload` as one packet: as many frames as it needs, the last one shorter than
/// [`MAX_PAYLOAD`] (and so possibly empty). `sequence` is the number of the first frame and is
/// left at the number after the last.
pub fn put_packet(out: &mut BytesMut, sequence: &mut u8, payload: &[u8]) {
    let mut rest = payload;
    loop {
        let (part, tail) = rest.split_at(rest.len().min(MAX_PAYLOAD));
        out.put_slice(&Header { length: part.len(), sequence: *sequence }.to_bytes());
        out.put_slice(part);
        *sequence = sequence.wrapping_add(1);
        rest = tail;
        if part.len() < MAX_PAYLOAD {
            return;
        }
    }
}

/// Appends one packet whose payload is written by `write`: without a copy, unless it takes more than
/// one frame.
pub fn put_packet_with(out: &mut BytesMut, sequence: &mut u8, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_slice(&[0; HEADER]);
    write(out);
    let length = out.len() - start - HEADER;
    if length >= MAX_PAYLOAD {
        let packet = out.split_off(start);
        return put_packet(out, sequence, &packet[HEADER..]);
    }
    let header = Header { length, sequence: *sequence }.to_bytes();
    out[start..start + HEADER].copy_from_slice(&header);
    *sequence = sequence.wrapping_add(1);
}

/// Appends an `int<lenenc>`.
pub fn put_lenenc_int(out: &mut BytesMut, value: u64) {
    match value {
        0..=0xFA => out.put_u8(value as u8),
        0xFB..=0xFFFF => {
            out.put_u8(0xFC);
            out.put_u16_le(value as u16);
        }
        0x1_0000..=0xFF_FFFF => {
            out.put_u8(0xFD);
            out.put_uint_le(value, 3);
        }
        _ => {
            out.put_u8(0xFE);
            out.put_u64_le(value);
        }
    }
}

/// Appends a `string<lenenc>`.
pub fn put_lenenc_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_lenenc_int(out, bytes.len() as u64);
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_the_same_built_in_place_or_not() {
        for length in [0, 1, MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1] {
            let payload = vec![7; length];
            let (mut copied, mut built) = (BytesMut::from(&b"x"[..]), BytesMut::from(&b"x"[..]));
            let (mut first, mut second) = (3, 3);
            put_packet(&mut copied, &mut first, &payload);
            put_packet_with(&mut built, &mut second, |out| out.put_slice(&payload));
            assert!(copied == built && first == second, "{length}");
        }
    }

    #[test]
    fn a_payload_of_exactly_one_full_frame_is_closed_by_an_empty_one() {
        let mut out = BytesMut::new();
        let mut sequence = 255;
        put_packet(&mut out, &mut sequence, &vec![7; MAX_PAYLOAD]);
        assert_eq!(sequence, 1);
        assert_eq!(Header::parse(&out), Some(Header { length: MAX_PAYLOAD, sequence: 255 }));
        let second = &out[HEADER + MAX_PAYLOAD..];
        assert_eq!(Header::parse(second), Some(Header { length: 0, sequence: 0 }));
        assert_eq!(second.len(), HEADER);
    }

    #[test]
    fn integers_take_their_shortest_form() {
        for (value, length) in [(0xFA, 1), (0xFB, 3), (0xFFFF, 3), (0x1_0000, 4), (0x100_0000, 9)] {
            let mut out = BytesMut::new();
            put_lenenc_int(&mut out, value);
            assert_eq!(out.len(), length);
            assert_eq!(super::super::cursor::Cursor::new(&out).lenenc_int(), Ok(value));
        }
    }
}
