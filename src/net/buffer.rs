//! Read buffers that exist only while something is being read.
//!
//! Thousands of clients are idle at any moment; an idle connection keeps no buffer. The buffers of
//! those that speak come from a small store of each runtime thread.

use super::stream::Stream;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// What a buffer holds at first: most commands and replies fit.
pub const SMALL: usize = 16 * 1024;
/// What a buffer grows to when a read fills it: the size that a large result is relayed in. 64 KiB are
/// all of a socket's first window: emptied at once, it has the sender woken for each, at twice the cost.
pub const LARGE: usize = 32 * 1024;
/// How many buffers each thread keeps for reuse, of each size.
const KEPT: usize = 32;

thread_local! {
    static SMALL_STORE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static LARGE_STORE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that were read and not yet consumed, with room behind them for the next read.
#[derive(Debug, Default)]
pub struct ReadBuffer {
    bytes: Vec<u8>,
    /// The unconsumed bytes lie from here
    start: usize,
    /// to here; both are at the end of a small buffer that a read filled and that was consumed.
    end: usize,
}

impl ReadBuffer {
    /// A buffer that starts with `bytes` (what a handshake read too much).
    pub fn with(bytes: &[u8]) -> Self {
        let mut buffer = Self::default();
        if !bytes.is_empty() {
            buffer.reserve(bytes.len());
            buffer.bytes[..bytes.len()].copy_from_slice(bytes);
            buffer.end = bytes.len();
        }
        buffer
    }

    /// The unconsumed bytes.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The unconsumed bytes, to be edited in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Whether everything was consumed.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether it has no memory.
    pub fn is_at_rest(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the last read left no room, and all of it was consumed: more is probably waiting, and
    /// a larger buffer pays.
    fn was_filled(&self) -> bool {
        self.start == self.bytes.len() && self.bytes.len() == SMALL
    }

    /// Passes over the first `n` bytes, at most as many as there are.
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        if self.is_empty() && !self.was_filled() {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Room to read into, never empty. Grows to [`LARGE`] when the last read filled the buffer.
    pub fn spare(&mut self) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = take(&SMALL_STORE, SMALL);
        } else if self.was_filled() {
            self.grow(LARGE);
        } else if self.end == self.bytes.len() {
            if self.start > 0 {
                self.compact();
            } else {
                self.grow((self.bytes.len() * 2).max(LARGE));
            }
        }
        &mut self.bytes[self.end..]
    }

    /// Makes room for `total` unconsumed bytes in all.
    pub fn reserve(&mut self, total: usize) {
        if self.was_filled() {
            self.grow(LARGE);
        }
        if self.bytes.len() - self.start >= total && !self.bytes.is_empty() {
            return;
        }
        self.compact();
        if self.bytes.len() < total {
            self.grow(total.next_power_of_two().max(SMALL));
        }
    }

    /// Says that `n` bytes were read into [`Self::spare`].
    pub fn advance(&mut self, n: usize) {
        self.end = (self.end + n).min(self.bytes.len());
    }

    /// Reads what is there; gives how much that is. A buffer without memory takes some only when
    /// there is something to read: many may wait at a time.
    pub fn poll_fill(
        &mut self,
        stream: &mut Stream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match stream {
            // Nothing below a plain socket's read looks into the store.
            Stream::Plain(tcp) if self.is_at_rest() => SMALL_STORE.with_borrow_mut(|store| {
                let mut bytes = store.pop().unwrap_or_else(|| vec![0; SMALL]);
                let read = poll_read(tcp, &mut bytes, context);
                match read {
                    Poll::Ready(Ok(n)) if n > 0 => {
                        self.bytes = bytes;
                        self.end = n;
                    }
                    _ => store.push(bytes),
                }
                read
            }),
            stream => {
                let read = poll_read(stream, self.spare(), context);
                if let Poll::Ready(Ok(n)) = read {
                    self.advance(n);
                }
                read
            }
        }
    }

    /// Gives the memory back if nothing is unconsumed.
    pub fn rest(&mut self) {
        if self.is_empty() {
            give(std::mem::take(&mut self.bytes));
            self.start = 0;
            self.end = 0;
        }
    }

    fn compact(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }

    fn grow(&mut self, size: usize) {
        let mut larger = match size {
            SMALL => take(&SMALL_STORE, SMALL),
            LARGE => take(&LARGE_STORE, LARGE),
            size => vec![0; size],
        };
        let unread = self.end - self.start;
        larger[..unread].copy_from_slice(&self.bytes[self.start..self.end]);
        give(std::mem::replace(&mut self.bytes, larger));
        self.start = 0;
        self.end = unread;
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.bytes));
    }
}

fn poll_read<S: AsyncRead + Unpin>(
    stream: &mut S,
    bytes: &mut [u8],
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(bytes);
    ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

type Store = std::thread::LocalKey<RefCell<Vec<Vec<u8>>>>;

fn take(store: &'static Store, size: usize) -> Vec<u8> {
    store.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; size])
}

fn give(bytes: Vec<u8>) {
    let store = match bytes.len() {
        SMALL => &SMALL_STORE,
        LARGE => &LARGE_STORE,
        _ => return,
    };
    // A buffer may be dropped while its thread ends, when the store is gone already.
    let _ = store.try_with(|store| {
        let mut store = store.borrow_mut();
        if store.len() < KEPT {
            store.push(bytes);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffer: &mut ReadBuffer, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let spare = buffer.spare();
            let n = spare.len().min(rest.len());
            spare[..n].copy_from_slice(&rest[..n]);
            buffer.advance(n);
            rest = &rest[n..];
        }
    }

    #[test]
    fn bytes_survive_growth_and_compaction() {
        let all: Vec<u8> = (0..200_000_u32).map(|i| i as u8).collect();
        let mut buffer = ReadBuffer::default();
        fill(&mut buffer, &all[..10_000]);
        buffer.consume(7_000);
        fill(&mut buffer, &all[10_000..]);
        assert_eq!(buffer.filled(), &all[7_000..]);
    }

    #[test]
    fn an_empty_buffer_keeps_no_memory_after_rest() {
        let mut buffer = ReadBuffer::with(b"abc");
        buffer.consume(3);
        buffer.rest();
        assert!(buffer.bytes.is_empty());
        fill(&mut buffer, b"x");
        buffer.rest();
        assert_eq!(buffer.filled(), b"x");
    }

    #[test]
    fn a_buffer_that_a_read_filled_is_larger_for_the_next() {
        let mut buffer = ReadBuffer::default();
        let room = buffer.spare().len();
        assert_eq!(room, SMALL);
        buffer.advance(room - 1);
        buffer.consume(room);
        assert_eq!(buffer.spare().len(), SMALL);
        buffer.advance(SMALL);
        buffer.consume(SMALL);
        assert_eq!(buffer.spare().len(), LARGE);
        buffer.rest();
        assert_eq!(buffer.spare().len(), SMALL);
    }

    #[test]
    fn reserve_makes_room_for_a_whole_packet() {
        let mut buffer = ReadBuffer::with(b"abc");
        buffer.consume(1);
        buffer.reserve(100_000);
        assert_eq!(buffer.filled(), b"bc");
        assert!(buffer.spare().len() >= 100_000 - 2);
    }
}
