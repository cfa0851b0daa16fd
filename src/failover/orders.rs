//! What operators have ordered: statements are held, servers are left alone.

use super::snapshot::{ServerId, Writer};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// An order that stands until it is lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// All statements wait.
    PauseAll,
    /// Statements for this server wait.
    Pause(ServerId),
    /// This server is not used; who read there goes elsewhere, who wants to write waits until
    /// another one is the writer.
    Drain(ServerId),
    /// Statements for this writer wait until another one is the writer; that lifts the order.
    Succeed(ServerId),
}

impl Order {
    /// All names, for metrics.
    pub const NAMES: [&'static str; 3] = ["pause", "drain", "switchover"];

    /// The name in events and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::PauseAll | Self::Pause(_) => "pause",
            Self::Drain(_) => "drain",
            Self::Succeed(_) => "switchover",
        }
    }

    /// The server that it is about; none for one about all.
    pub fn server(self) -> Option<ServerId> {
        match self {
            Self::PauseAll => None,
            Self::Pause(id) | Self::Drain(id) | Self::Succeed(id) => Some(id),
        }
    }
}

/// All orders that stand for one service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders(Vec<(Order, Option<Instant>)>);

impl Orders {
    /// Those that stand.
    pub fn standing(&self) -> impl Iterator<Item = Order> {
        self.0.iter().map(|(order, _)| *order)
    }

    fn has(&self, order: Order) -> bool {
        self.standing().any(|standing| standing == order)
    }

    /// Whether all statements wait.
    pub fn is_paused(&self) -> bool {
        self.has(Order::PauseAll)
    }

    /// Whether statements for this server wait for it.
    pub fn is_held(&self, server: ServerId) -> bool {
        self.has(Order::Pause(server))
    }

    /// Whether this server is not to be used.
    pub fn is_out(&self, server: ServerId) -> bool {
        self.has(Order::Drain(server))
    }

    /// Whether a writer is to be followed by another one.
    pub fn await_successor(&self) -> bool {
        self.standing().any(|order| matches!(order, Order::Succeed(_)))
    }

    /// Whether statements may go to this server as the writer.
    pub fn let_write(&self, server: ServerId) -> bool {
        !self.is_paused() && self.standing().all(|order| order.server() != Some(server))
    }

    /// Takes an order in, until it is lifted or its time is over. One that stands gets the new
    /// time.
    pub(super) fn give(&mut self, order: Order, until: Option<Instant>) {
        self.0.retain(|(standing, _)| *standing != order);
        self.0.push((order, until));
    }

    /// Lifts what `ends` says; gives what that was.
    pub(super) fn lift(&mut self, ends: impl Fn(Order, Option<Instant>) -> bool) -> Vec<Order> {
        let (over, left) = self.0.drain(..).partition(|(order, until)| ends(*order, *until));
        self.0 = left;
        let over: Vec<(Order, Option<Instant>)> = over;
        over.into_iter().map(|(order, _)| order).collect()
    }

    /// Lifts the orders whose end has come with this writer.
    pub(super) fn fulfil(&mut self, writer: Writer) -> Vec<Order> {
        let Writer::Confirmed(writer) = writer else { return Vec::new() };
        self.lift(|order, _| matches!(order, Order::Succeed(former) if former != writer))
    }

    /// When the next one ends by itself.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.0.iter().filter_map(|(_, until)| *until).min()
    }
}

/// What a supervisor is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// This order stands from now on, at most for so long.
    Give(Order, Option<Duration>),
    /// This order does not stand any more.
    Lift(Order),
    /// No order about this server stands any more, or none at all.
    LiftAll(Option<ServerId>),
    /// The supervisor panics, to see what comes of that.
    #[cfg(test)]
    Panic,
}

/// Why a command was not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotFollowed {
    /// The server that is to be succeeded is not the writer.
    #[error("the server is not the writer any more")]
    NotWriter,
    /// There is no supervisor any more: Millpond stops.
    #[error("Millpond is stopping")]
    Stopping,
}

pub(super) type Commanded = (Command, oneshot::Sender<Result<(), NotFollowed>>);

/// Where a supervisor takes commands.
#[derive(Debug, Clone)]
pub struct Commands(mpsc::Sender<Commanded>);

impl Commands {
    pub(super) fn channel() -> (Self, mpsc::Receiver<Commanded>) {
        let (sender, receiver) = mpsc::channel(8);
        (Self(sender), receiver)
    }

    /// Commands; the snapshot shows it when this returns.
    ///
    /// Cancel safe: a command that has been taken is followed all the same.
    ///
    /// # Errors
    ///
    /// See [`NotFollowed`].
    pub async fn give(&self, command: Command) -> Result<(), NotFollowed> {
        let (done, followed) = oneshot::channel();
        self.0.send((command, done)).await.map_err(|_| NotFollowed::Stopping)?;
        followed.await.unwrap_or(Err(NotFollowed::Stopping))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ServerId = ServerId(0);
    const B: ServerId = ServerId(1);

    #[test]
    fn each_order_holds_what_it_is_about() {
        let mut orders = Orders::default();
        assert!(orders.let_write(A));
        orders.give(Order::PauseAll, None);
        assert!(orders.is_paused() && !orders.let_write(A) && !orders.is_held(A));
        orders.lift(|_, _| true);
        for order in [Order::Pause(A), Order::Drain(A), Order::Succeed(A)] {
            orders.give(order, None);
            assert!(!orders.let_write(A) && orders.let_write(B), "{order:?}");
            assert_eq!(orders.lift(|standing, _| standing.server() == Some(A)), [order]);
        }
        assert_eq!(orders, Orders::default());
    }

    #[test]
    fn a_successor_lifts_the_order_and_nobody_else_does() {
        let mut orders = Orders::default();
        orders.give(Order::Succeed(A), None);
        orders.give(Order::Drain(A), None);
        assert!(orders.fulfil(Writer::Awaited).is_empty());
        assert!(orders.fulfil(Writer::Confirmed(A)).is_empty());
        assert_eq!(orders.fulfil(Writer::Confirmed(B)), [Order::Succeed(A)]);
        assert!(orders.is_out(A));
    }

    #[test]
    fn an_order_that_is_given_again_has_the_new_end() {
        let mut orders = Orders::default();
        let now = Instant::now();
        orders.give(Order::PauseAll, Some(now));
        orders.give(Order::PauseAll, None);
        assert_eq!((orders.next_end(), orders.standing().count()), (None, 1));
    }
}
