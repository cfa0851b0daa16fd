//! The output parameters of a prepared `CALL`: a result set of one row, which a client only gets if
//! it said at its login that it wants that, and whose status says what it is.
//!
//! To a client that reads EOF packets the status stands in front of the row, where a server that is
//! spoken to without them does not say it: so the end is looked at first.

use crate::wire::capability::Status;
use crate::wire::cursor::Cursor;
use crate::wire::fault::Fault;
use crate::wire::frame::{HEADER, Header};
use crate::wire::reply::OkPacket;

/// What is to become of output parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Outputs {
    /// They pass as any result set does.
    #[default]
    Pass,
    /// They pass, and are announced: as [`Control::OutputsBegin`](super::Control::OutputsBegin).
    Announced,
    /// They come in one piece, to be dropped: as [`Control::Outputs`](super::Control::Outputs).
    Whole,
}

/// What a result set whose head is at the front of the input turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    /// So many bytes have to be there to tell.
    NeedMore(usize),
    /// Another one.
    Other,
    /// Output parameters, of so many bytes in so many packets.
    Outputs { length: usize, packets: u64 },
}

/// How far is looked ahead. Longer output parameters pass as any result set does.
const LIMIT: usize = 1 << 20;

/// Looks at a whole result set, if it has just one row.
pub(super) fn look_ahead(input: &[u8]) -> Result<Ahead, Fault> {
    let Some(head) = packet(input, 0) else { return Ok(more(0, input)) };
    let columns = Cursor::new(&head[HEADER..]).lenenc_int()?;
    let mut at = head.len();
    // The definitions and the row.
    for left in (0..=columns).rev() {
        let Some(header) = Header::parse(&input[at..]) else { return Ok(more(at, input)) };
        if header.is_continued() || at + header.length > LIMIT {
            return Ok(Ahead::Other);
        }
        let Some(packet) = packet(input, at) else { return Ok(more(at, input)) };
        // No row begins so, nor does a definition.
        if left == 0 && packet.get(HEADER).is_none_or(|&first| first >= 0xFE) {
            return Ok(Ahead::Other);
        }
        at += packet.len();
    }
    let Some(end) = packet(input, at) else { return Ok(more(at, input)) };
    if end.get(HEADER) != Some(&0xFE) {
        return Ok(Ahead::Other);
    }
    let ok = OkPacket::parse(&end[HEADER..], super::BACKEND)?;
    if !ok.status.has(Status::PS_OUT_PARAMS | Status::MORE_RESULTS) {
        return Ok(Ahead::Other);
    }
    Ok(Ahead::Outputs { length: at + end.len(), packets: columns.saturating_add(3) })
}

/// A packet of one frame that is there whole.
fn packet(input: &[u8], at: usize) -> Option<&[u8]> {
    let header = Header::parse(input.get(at..)?)?;
    input.get(at..at + HEADER + header.length)
}

/// How much is needed for the packet at this place.
fn more(at: usize, input: &[u8]) -> Ahead {
    let length = input.get(at..).and_then(Header::parse).map_or(0, |header| header.length);
    if at + length > LIMIT { Ahead::Other } else { Ahead::NeedMore(at + HEADER + length) }
}
