//! What operators do with a service: its statements are held, its servers are left alone, a writer
//! is followed by another one as planned. None of it costs a client an error.
//!
//! An order holds what has not begun; then whoever is in the middle of something is waited for.
//! An order that is not fulfilled in time is undone, so that a failed operation leaves everything
//! as it was.

use super::service::Service;
use crate::failover::orders::{Command, NotFollowed, Order};
use crate::failover::snapshot::ServerId;
use crate::pool::Pool;
use crate::runtime::Law;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

/// How often connections in use are counted while they are waited for.
const LOOK: Duration = Duration::from_millis(5);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Hold the statements of the service, or those for one server.
    Pause(Option<String>),
    /// Leave a server alone.
    Drain(String),
    /// Hold the statements for the writer until another one is the writer.
    Switchover,
    /// Lift all orders, or those about one server.
    Resume(Option<String>),
}

/// What becomes of an order when connections are still in use after the time for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stragglers {
    /// The order is undone.
    Undo,
    /// The order stands; what is still open may end as it can.
    Leave,
}

/// An operation and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub operation: Operation,
    /// How long to wait for those who are in the middle of something.
    pub patience: Duration,
    /// How long the order stands at most.
    pub limit: Option<Duration>,
    /// What happens when the patience is over.
    pub stragglers: Stragglers,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Connections that are still in use.
    pub in_use: usize,
    /// How long those in use were waited for.
    pub waited: Duration,
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// The service has no such server.
    #[error("no server {0}: expected one of {1}")]
    UnknownServer(String, String),
    /// There is no writer that could be followed by another one.
    #[error("there is no confirmed writer")]
    NoWriter,
    /// Only one at a time.
    #[error("another operation on this service is under way")]
    Occupied,
    /// Transactions, or sessions that keep their connections, did not end in time.
    #[error("{0} connections were still in use: the order is undone")]
    InUse(usize),
    /// Somebody lifted the order before it was fulfilled.
    #[error("the order was lifted, or its time was over, before all connections were free")]
    Lifted,
    /// The supervisor did not follow.
    #[error(transparent)]
    NotFollowed(#[from] NotFollowed),
}

type Asked = (Request, oneshot::Sender<Result<Done, NotDone>>);

/// Where a service takes requests, from any runtime.
#[derive(Debug, Clone)]
pub struct Operator {
    /// The service's name.
    pub service: Arc<str>,
    requests: mpsc::Sender<Asked>,
}

impl Operator {
    /// For a service, which [`Service::operate`] has to listen.
    pub fn channel(service: &Arc<str>) -> (Self, Requests) {
        let (requests, receiver) = mpsc::channel(8);
        (Self { service: service.clone(), requests }, Requests(receiver))
    }

    /// Has it done.
    ///
    /// Cancel safe: what was begun goes on.
    ///
    /// # Errors
    ///
    /// See [`NotDone`].
    pub async fn ask(&self, request: Request) -> Result<Done, NotDone> {
        let (sender, done) = oneshot::channel();
        let asked = self.requests.send((request, sender)).await;
        asked.map_err(|_| NotFollowed::Stopping)?;
        done.await.unwrap_or(Err(NotFollowed::Stopping.into()))
    }
}

/// What a service is asked by its operators.
#[derive(Debug)]
pub struct Requests(mpsc::Receiver<Asked>);

impl Service {
    /// Does what operators ask until the process stops.
    pub async fn operate(self: Arc<Self>, mut requests: Requests) {
        let stopping = self.tasks.stop_signal().clone();
        let occupied = Arc::new(tokio::sync::Mutex::new(()));
        loop {
            let (request, sender) = tokio::select! {
                () = stopping.cancelled() => return,
                asked = requests.0.recv() => match asked {
                    Some(asked) => asked,
                    // Nobody can ask any more.
                    None => return stopping.cancelled().await,
                },
            };
            let (service, occupied) = (self.clone(), occupied.clone());
            self.tasks.spawn("operation", Law::Mortal, async move {
                let stopping = service.tasks.stop_signal().clone();
                let done = tokio::select! {
                    () = stopping.cancelled() => Err(NotFollowed::Stopping.into()),
                    done = service.perform(request, &occupied) => done,
                };
                // Whoever asked may not wait for the answer; what is done is done.
                let _ = sender.send(done);
            });
        }
    }

    async fn perform(
        &self,
        request: Request,
        occupied: &tokio::sync::Mutex<()>,
    ) -> Result<Done, NotDone> {
        let order = match &request.operation {
            Operation::Resume(server) => {
                let server = server.as_deref().map(|name| self.server_named(name)).transpose()?;
                self.topology.command(Command::LiftAll(server)).await?;
                return Ok(Done { in_use: self.in_use(server), waited: Duration::ZERO });
            }
            Operation::Pause(None) => Order::PauseAll,
            Operation::Pause(Some(server)) => Order::Pause(self.server_named(server)?),
            Operation::Drain(server) => Order::Drain(self.server_named(server)?),
            Operation::Switchover => {
                Order::Succeed(self.topology.snapshot().writer().ok_or(NotDone::NoWriter)?.id)
            }
        };
        let Ok(_alone) = occupied.try_lock() else { return Err(NotDone::Occupied) };
        self.topology.command(Command::Give(order, request.limit)).await?;
        self.quieten(order, &request).await
    }

    /// Waits until nothing uses the connections that an order is about, and closes those.
    async fn quieten(&self, order: Order, request: &Request) -> Result<Done, NotDone> {
        let started = Instant::now();
        loop {
            let pools = self.pools_of(order.server());
            // What sessions left on their connections comes with them.
            pools.iter().for_each(|pool| pool.recall());
            let in_use = in_use(&pools);
            let waited = started.elapsed();
            if !self.topology.snapshot().orders.standing().any(|standing| standing == order) {
                return Err(NotDone::Lifted);
            }
            if in_use == 0 {
                for pool in &pools {
                    self.forget_pool(pool);
                    pool.close();
                }
                return Ok(Done { in_use, waited });
            }
            if waited >= request.patience {
                match request.stragglers {
                    Stragglers::Leave => return Ok(Done { in_use, waited }),
                    Stragglers::Undo => {
                        self.topology.command(Command::Lift(order)).await?;
                        return Err(NotDone::InUse(in_use));
                    }
                }
            }
            sleep(LOOK).await;
        }
    }

    fn pools_of(&self, server: Option<ServerId>) -> Vec<Arc<Pool>> {
        let mut pools = self.pools();
        pools.retain(|pool| server.is_none_or(|server| pool.key().server == server));
        pools
    }

    fn in_use(&self, server: Option<ServerId>) -> usize {
        in_use(&self.pools_of(server))
    }

    /// A server by "host:port".
    fn server_named(&self, name: &str) -> Result<ServerId, NotDone> {
        let snapshot = self.topology.snapshot();
        let plain = |full: &str| full.split('@').next().unwrap_or_default().to_owned();
        let names = snapshot.servers.iter().map(|server| (server.id, server.name()));
        let names: Vec<_> = names.collect();
        match names.iter().find(|(_, full)| full == name || plain(full) == name) {
            Some((id, _)) => Ok(*id),
            None => {
                let known: Vec<_> = names.iter().map(|(_, full)| plain(full)).collect();
                Err(NotDone::UnknownServer(name.to_owned(), known.join(", ")))
            }
        }
    }
}

fn in_use(pools: &[Arc<Pool>]) -> usize {
    pools
        .iter()
        .map(|pool| {
            let counts = pool.counts();
            counts.open.saturating_sub(counts.idle)
        })
        .sum()
}
