//! The memory that commands are worked on in.
//!
//! It is not a part of what serves a client, so that the thousands that are idle do not hold room for
//! a command's work. Nor is it made for each burst of commands: it is large, and to fill it costs
//! more than most of the work. A bench is a future that never ends; clients are put on it one
//! after another.

use super::client::{Client, Stop};
use super::serve::burst;
use crate::net::channel::{Channel, Framed};
use bytes::BytesMut;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::Instant;

/// The most memory for commands, and for answers, that a bench keeps.
const LARGEST: usize = 16 * 1024;
/// How many benches each thread keeps for later clients.
const KEPT: usize = 32;

thread_local! {
    static FREE: RefCell<Vec<Bench>> = const { RefCell::new(Vec::new()) };
}

/// A client, and what became of its burst.
type Worked = (Box<Client>, Result<Instant, Stop>);

/// Memory that goes from one client to the next on a bench.
#[derive(Debug, Default)]
pub(super) struct Desk {
    command: Vec<u8>,
    output: BytesMut,
}

impl Desk {
    /// The payload of a client's next command, taken out of its input.
    pub(super) fn take_command(&mut self, channel: &mut Channel, framed: Framed) -> &[u8] {
        self.command.clear();
        channel.take_command(framed, &mut self.command);
        &self.command
    }

    /// Lends a client room for its answers.
    pub(super) fn lend(&mut self, channel: &mut Channel) {
        if channel.output.capacity() == 0 {
            channel.output = std::mem::take(&mut self.output);
        }
    }

    /// Takes that room back, if nothing is in it. What has grown large is not kept.
    pub(super) fn take_back(&mut self, channel: &mut Channel) {
        if self.command.capacity() > LARGEST {
            self.command = Vec::new();
        }
        if channel.output.is_empty() && channel.output.capacity() <= LARGEST {
            self.output = std::mem::take(&mut channel.output);
        }
    }
}

/// What is on a bench between two looks at it.
#[derive(Debug, Default)]
enum Seat {
    /// Nobody, or one who is being worked for.
    #[default]
    Taken,
    /// A client whose burst has not begun.
    Waits(Box<Client>),
    /// A client whose burst is over.
    Done(Worked),
}

/// Room for one client at work.
struct Bench {
    seat: Arc<Mutex<Seat>>,
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Bench {
    fn new() -> Self {
        let seat = Arc::new(Mutex::new(Seat::Taken));
        Self { seat: seat.clone(), work: Box::pin(work(seat)) }
    }
}

/// Works for one client after another.
async fn work(seat: Arc<Mutex<Seat>>) {
    let mut desk = Desk::default();
    loop {
        // Whoever puts a client here looks at the bench by itself: nobody has to be woken.
        let mut client = poll_fn(|_| {
            let mut seat = seat.lock();
            match std::mem::take(&mut *seat) {
                Seat::Waits(client) => Poll::Ready(client),
                other => {
                    *seat = other;
                    Poll::Pending
                }
            }
        })
        .await;
        let done = burst(&mut client, &mut desk).await;
        *seat.lock() = Seat::Done((client, done));
    }
}

/// Does what the client has asked for by now; gives the client back, and when it had the last
/// answer.
///
/// Cancel safe as [`super::serve::serve`] is: the client goes with the bench that it is on.
pub(super) async fn at_work(client: Box<Client>) -> Worked {
    let mut bench = FREE.with_borrow_mut(Vec::pop).unwrap_or_else(Bench::new);
    *bench.seat.lock() = Seat::Waits(client);
    let worked = poll_fn(|context| {
        // It never ends.
        let _ = bench.work.as_mut().poll(context);
        match std::mem::take(&mut *bench.seat.lock()) {
            Seat::Done(worked) => Poll::Ready(worked),
            // It was taken at once.
            Seat::Taken | Seat::Waits(_) => Poll::Pending,
        }
    })
    .await;
    FREE.with_borrow_mut(|free| {
        if free.len() < KEPT {
            free.push(bench);
        }
    });
    worked
}
