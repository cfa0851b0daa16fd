//! How a session comes to a backend connection: its own, one left as a deposit, or one from the
//! pool of the server that is right for it now.

use super::cancel::Thread;
use super::causality::Reached;
use super::client::{Client, Stop};
use super::failure::Sent;
use super::sleep::Patience;
use super::told::Told;
use crate::failover::suspicion::Evidence;
use crate::pool::AcquireError;
use crate::pool::deposit::Collected;
use crate::pool::lease::Lease;
use crate::router::Route;
use crate::session::answers::LastRun;
use crate::session::pin::{Holds, PinReason};
use crate::session::residue::Captured;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The first pause after a backend connection could not be opened; doubles up to the last.
const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_millis(500);

/// Whether there is a backend connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Borrowed {
    /// The session's own, as it left it.
    Kept,
    /// One from the pool.
    Fresh,
    /// None; the client has been told, or its command will be run again.
    No,
}

impl Borrowed {
    /// Where the session's last statement ran.
    pub(super) fn last_run(self) -> LastRun {
        if self == Self::Kept { LastRun::Here } else { LastRun::Elsewhere }
    }
}

/// What interrupted a wait.
enum Woken {
    /// Another snapshot, or the time that was to be waited is over.
    Again,
    /// The client has to go.
    Stop(Stop),
}

/// How a KILL names this connection.
pub(super) fn thread_of(lease: &mut Lease) -> Thread {
    Thread { server: lease.pool().key().server, id: lease.connection().thread_id }
}

impl Client {
    /// Makes sure that the session has a backend connection.
    pub(super) async fn borrow(&mut self, sequence: u8) -> Result<Borrowed, Stop> {
        self.service.topology.sleep.used();
        if self.lease.is_some() {
            return self.keep(sequence);
        }
        if self.severed || self.session.pins.in_transaction() {
            // What was there must not be taken to be here; no transaction goes on elsewhere.
            self.lost(sequence, Sent::Nothing)?;
            return Ok(Borrowed::No);
        }
        if let Some(deposit) = self.deposit.take() {
            match deposit.collect().await {
                Collected::Lease(mut lease) => {
                    if lease.connection().is_stale() {
                        // Closed by the server, such as for its wait_timeout or by a KILL.
                        let server = lease.pool().key().server;
                        self.service.topology.report(server, Evidence::ConnectionLost);
                        lease.discard();
                        self.session.residue.lost();
                    } else if self.is_right(&lease) {
                        self.took(*lease);
                        return Ok(Borrowed::Kept);
                    } else {
                        self.took(*lease);
                        self.capture().await;
                        if self.lease.is_some() {
                            return self.keep(sequence);
                        }
                        self.entry.handle().gives();
                    }
                }
                Collected::Kept(lease, capture, answers) => {
                    let captured = self.session.residue.captured(&capture, answers);
                    if captured != Ok(Captured::NotSequences) {
                        self.session.pins.put(PinReason::UserVariable, Holds::Yes);
                    }
                    self.took(*lease);
                    return self.keep(sequence);
                }
                Collected::Answers(capture, answers) => {
                    if self.session.residue.captured(&capture, answers).is_err() {
                        self.session.residue.lost();
                    }
                }
                Collected::Lost => self.session.residue.lost(),
            }
        }
        match self.acquire().await? {
            Ok(lease) => {
                self.took(lease);
                Ok(Borrowed::Fresh)
            }
            Err(told) => {
                self.put_error(sequence.wrapping_add(1), &told);
                Ok(Borrowed::No)
            }
        }
    }

    /// Goes on with the connection that the session has, if that still can be.
    fn keep(&mut self, sequence: u8) -> Result<Borrowed, Stop> {
        let Some(lease) = &mut self.lease else { return Ok(Borrowed::No) };
        if lease.pool().is_closed() {
            // Its server was given up while the client was not looking.
            self.fenced(sequence)?;
            return Ok(Borrowed::No);
        }
        if lease.connection().is_stale() {
            // The server closed it meanwhile, so nothing is lost but what it held.
            self.connection_failed(sequence, Sent::Nothing)?;
            return Ok(Borrowed::No);
        }
        Ok(Borrowed::Kept)
    }

    fn took(&mut self, mut lease: Lease) {
        let connection = lease.connection();
        self.session.continues_on(&connection.baseline, &connection.server.version);
        self.entry.handle().took(thread_of(&mut lease));
        self.lease = Some(lease);
    }

    /// Whether this session's statements may go on where it left its connection.
    fn is_right(&mut self, lease: &Lease) -> bool {
        let version = self.service.topology.version();
        if lease.pool().is_closed() {
            return false;
        }
        if self.routed == version {
            return true;
        }
        let server = lease.pool().key().server;
        let right = self.service.route(self.access, server) == Route::To(server);
        if right {
            self.routed = version;
        }
        right
    }

    /// Goes over to the server that is right now; false when there is none.
    fn find_server(&mut self, version: u64) -> bool {
        if self.routed == version && !self.pool.is_closed() {
            return true;
        }
        let Route::To(server) = self.service.route(self.access, self.pool.key().server) else {
            return false;
        };
        if server != self.pool.key().server || self.pool.is_closed() {
            let key = crate::pool::PoolKey { server, ..self.pool.key().clone() };
            // A user who has no login any more keeps the old pool, which says so.
            if let Some(pool) = self.service.pool(&key) {
                self.moved |= server != self.pool.key().server;
                self.pool = pool;
            }
        }
        self.routed = version;
        true
    }

    /// Borrows from the pool; leaves the queue at once when the client goes away.
    async fn acquire(&mut self) -> Result<Result<Lease, Told>, Stop> {
        let limits = self.limits.load();
        let patience = self.service.wake(limits);
        let (started, deadline) = (patience.since(), patience.deadline());
        let limit = limits.max_packet;
        let mut pause = FIRST_RETRY;
        loop {
            let version = self.service.topology.version();
            if !self.find_server(version) {
                if let Some(told) = self.hold(version, patience).await? {
                    return Ok(Err(told));
                }
                continue;
            }
            let pool = self.pool.clone();
            let Self { channel, entry, .. } = self;
            let acquired = tokio::select! {
                biased;
                acquired = pool.acquire(started, deadline) => acquired,
                () = channel.closed(limit) => {
                    return Err(Stop::Client(std::io::ErrorKind::UnexpectedEof.into()));
                }
                farewell = entry.handle().dismissed() => {
                    return Err(Stop::Dismissed(farewell));
                }
            };
            match acquired {
                Ok(lease) if pool.is_closed() => lease.discard(),
                // Seen otherwise since this statement began to wait: whoever waits until a server
                // is out of use counts on nobody beginning there any more.
                Ok(lease) if !self.is_right(&lease) => lease.release(),
                Ok(mut lease) => {
                    match self.catch_up(&mut lease, deadline).await {
                        Reached::Yes => {}
                        Reached::NotYet => {
                            lease.release();
                            if let Some(told) = self.not_reached(version, patience).await? {
                                return Ok(Err(told));
                            }
                            continue;
                        }
                        Reached::Lost => {
                            lease.discard();
                            continue;
                        }
                    }
                    self.service.woken();
                    let waited = started.elapsed();
                    pool.metrics.borrow_seconds.observe(waited.as_secs_f64());
                    let waited = u32::try_from(waited.as_micros()).unwrap_or(u32::MAX);
                    self.waited = self.waited.saturating_add(waited);
                    self.service.met(lease.connection());
                    return Ok(Ok(lease));
                }
                Err(AcquireError::Closed) if self.may_go_elsewhere(&pool) => {
                    if let Woken::Stop(stop) = self.wait(version, FIRST_RETRY).await {
                        return Err(stop);
                    }
                }
                Err(AcquireError::Open(error))
                    if error.is_passing() && Instant::now() + pause < deadline =>
                {
                    let server = pool.key().server;
                    self.service.topology.report(server, Evidence::ConnectFailed);
                    // The server may be back in a moment; many that wait must not come at once.
                    let jittered = pause.mul_f64(0.5 + fastrand::f64());
                    if let Woken::Stop(stop) = self.wait(version, jittered).await {
                        return Err(stop);
                    }
                    pause = (pause * 2).min(LAST_RETRY);
                }
                Err(error) => return Ok(Err(self.not_acquired(&error, &patience))),
            }
        }
    }

    /// No reader has yet what the session may have seen: the writer has, or another attempt is made
    /// soon, until it is too late.
    async fn not_reached(
        &mut self,
        version: u64,
        patience: Patience,
    ) -> Result<Option<Told>, Stop> {
        if self.reads_from_writer() {
            return Ok(None);
        }
        if Instant::now() >= patience.deadline() {
            return Ok(Some(Told::behind(&patience)));
        }
        match self.wait(version, FIRST_RETRY).await {
            Woken::Again => Ok(None),
            Woken::Stop(stop) => Err(stop),
        }
    }

    /// A pool that was given up is replaced by another one, unless everything is being stopped.
    fn may_go_elsewhere(&self, pool: &crate::pool::Pool) -> bool {
        pool.is_closed() && !self.service.tasks.stop_signal().is_cancelled()
    }

    fn not_acquired(&self, error: &AcquireError, patience: &Patience) -> Told {
        let metrics = &self.pool.metrics;
        match error {
            AcquireError::BorrowTimeout => metrics.borrow_timeouts.inc(),
            AcquireError::QueueFull => metrics.borrow_refusals.inc(),
            AcquireError::UserLimit { .. } => metrics.user_limits.inc(),
            AcquireError::Closed | AcquireError::Open(_) => {}
        }
        Told::not_acquired(error, patience)
    }

    /// Waits for a server; gives what the client is told when that takes too long.
    async fn hold(&mut self, version: u64, patience: Patience) -> Result<Option<Told>, Stop> {
        let left = patience.deadline().saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Some(Told::no_writer(&patience)));
        }
        let service = self.service.clone();
        let Some(_held) = service.metrics.disturbances.hold(service.limits().max_waiting) else {
            return Ok(Some(Told::QUEUE_FULL));
        };
        match self.wait(version, left).await {
            Woken::Again => Ok(None),
            Woken::Stop(stop) => Err(stop),
        }
    }

    /// Waits until the servers are seen otherwise than in `version`, at most for `limit`.
    async fn wait(&mut self, version: u64, limit: Duration) -> Woken {
        let most = self.service.limits().max_packet;
        let service = self.service.clone();
        tokio::select! {
            () = service.topology.changed(version) => Woken::Again,
            () = sleep(limit) => Woken::Again,
            () = self.channel.closed(most) => {
                Woken::Stop(Stop::Client(std::io::ErrorKind::UnexpectedEof.into()))
            }
            farewell = self.entry.handle().dismissed() => Woken::Stop(Stop::Dismissed(farewell)),
        }
    }

    /// Waits before a command is run again.
    pub(super) async fn pause(&mut self, limit: Duration) -> Result<(), Stop> {
        let version = self.service.topology.version();
        match self.wait(version, limit).await {
            Woken::Again => Ok(()),
            Woken::Stop(stop) => Err(stop),
        }
    }
}
