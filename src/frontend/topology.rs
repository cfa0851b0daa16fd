//! How a service's sessions see its servers: which one to borrow from, and when to leave one.

use super::causality::WriterPosition;
use super::service::Service;
use super::sleep::Sleep;
use crate::failover::orders::{Command, Commands, NotFollowed};
use crate::failover::snapshot::{Health, Role, ServerId, ServerState, Snapshot, Writer};
use crate::failover::supervisor::Watched;
use crate::failover::suspicion::{Evidence, Suspicions};
use crate::pool::{Pool, PoolKey};
use crate::router::{Access, Preferences, Route, WithoutReaders, route};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, watch};

/// How many connections of each kind are opened to a server that may become the writer: enough for
/// the first statements, and few enough for a false alarm.
const PREPARED: usize = 4;

/// A service's servers, as its sessions see them.
#[derive(Debug)]
pub struct Topology {
    snapshot: watch::Receiver<Arc<Snapshot>>,
    suspicions: Suspicions,
    commands: Commands,
    preferences: Preferences,
    /// Raised with every snapshot that changes where statements go: a session compares one number.
    version: AtomicU64,
    /// What the writer had executed when a session that reads moved last.
    pub(super) position: WriterPosition,
    moved: Notify,
    /// Whether they are left alone.
    pub sleep: Sleep,
    /// The writer that was confirmed last.
    last_writer: Mutex<Option<ServerId>>,
}

impl Topology {
    /// The servers that a supervisor watches.
    pub fn new(watched: Watched, preferences: Preferences) -> Self {
        let Watched { snapshot, suspicions, commands, rest } = watched;
        let last_writer = Mutex::new(snapshot.borrow().writer().map(|writer| writer.id));
        Self {
            snapshot,
            suspicions,
            commands,
            preferences,
            version: AtomicU64::new(1),
            position: WriterPosition::default(),
            moved: Notify::new(),
            sleep: Sleep::new(rest),
            last_writer,
        }
    }

    /// The number of the present state: another one means that a session has to ask again.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The servers at this moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// Waits until the servers are seen otherwise than in `version`.
    ///
    /// Cancel safe.
    pub async fn changed(&self, version: u64) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.version() != version {
                return;
            }
            moved.await;
        }
    }

    /// Tells the supervisor what the data path met.
    pub fn report(&self, server: ServerId, evidence: Evidence) {
        self.suspicions.report(server, evidence);
    }

    /// Has the supervisor follow an operator's command. When this returns, whoever looks where to
    /// go sees it, and whoever looked before will look again.
    ///
    /// Cancel safe: a command that has been taken is followed all the same.
    pub async fn command(&self, command: Command) -> Result<(), NotFollowed> {
        self.commands.give(command).await?;
        self.raise();
        Ok(())
    }

    /// Has sessions look again where to go.
    pub(super) fn raise(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.moved.notify_waiters();
    }

    /// What sessions that read do when no reader is left.
    pub fn without_readers(&self) -> WithoutReaders {
        self.preferences.without_readers
    }

    /// Whether there can be another server: only then is there one to do what this one refuses.
    pub fn has_choice(&self) -> bool {
        !self.snapshot.borrow().settled
    }
}

impl Service {
    /// Where a session's statements go now.
    pub fn route(&self, access: Access, current: ServerId) -> Route {
        let snapshot = self.topology.snapshot();
        let load = |id| self.load(id);
        route(&snapshot, access, &self.topology.preferences, current, load, |n| {
            fastrand::usize(..n)
        })
    }

    /// A server for a session that has just begun, known to be the right one or not.
    pub fn first_server(&self, access: Access) -> ServerId {
        let snapshot = self.topology.snapshot();
        let first = snapshot.servers.first().map_or(ServerId(0), |server| server.id);
        match self.route(access, first) {
            Route::To(server) => server,
            Route::Hold => first,
        }
    }

    /// The pool to the writer of a user's plain connections, if there is a writer that may be used.
    pub fn writer_pool(&self, user: &Arc<str>) -> Option<Arc<Pool>> {
        let Route::To(server) = self.route(Access::Write, ServerId(0)) else { return None };
        self.pool(&PoolKey {
            server,
            user: user.clone(),
            found_rows: false,
            local_files: false,
            extended_metadata: false,
        })
    }

    /// Connections in use and borrowers that wait, at one server.
    fn load(&self, server: ServerId) -> usize {
        let pools = self.pools();
        let here = pools.iter().filter(|pool| pool.key().server == server);
        here.map(|pool| {
            let counts = pool.counts();
            counts.open.saturating_sub(counts.idle + counts.deposited) + counts.waiting
        })
        .sum()
    }

    /// Follows the servers until the process stops: a server that must not be used any more is
    /// fenced as soon as that is known.
    pub async fn keep_topology(self: Arc<Self>) {
        let stopping = self.tasks.stop_signal().clone();
        let mut changes = self.topology.snapshot.clone();
        let mut prepared = HashSet::new();
        loop {
            let snapshot = changes.borrow_and_update().clone();
            self.follow(&snapshot);
            match snapshot.writer {
                Writer::Confirmed(_) => prepared.clear(),
                Writer::Awaited => self.prepare(&snapshot, &mut prepared),
            }
            tokio::select! {
                () = stopping.cancelled() => return,
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Fences what is not to be used any more, and has sessions ask again.
    fn follow(&self, now: &Arc<Snapshot>) {
        let confirmed = match now.writer {
            Writer::Confirmed(id) => Some(id),
            Writer::Awaited => None,
        };
        let former = {
            let mut last = self.topology.last_writer.lock();
            let former = *last;
            *last = confirmed.or(former);
            former
        };
        for pool in self.pools() {
            let server = pool.key().server;
            // While nobody is confirmed, the former writer may turn out to be it again.
            let replaced = confirmed.is_some_and(|writer| writer != server);
            if now.server(server).is_none() || (replaced && former == Some(server)) {
                self.fence(&pool);
            }
        }
        self.maker.retain(now);
        self.topology.raise();
        if confirmed.is_some() && confirmed != former {
            // Routines and triggers are those of the writer.
            self.catalogue_stale.notify_one();
        }
    }

    /// While there is no writer: opens some connections to each server that may become it, for all
    /// who used the last one, so that the first statements need not wait for logins.
    fn prepare(&self, now: &Snapshot, prepared: &mut HashSet<ServerId>) {
        let Some(former) = *self.topology.last_writer.lock() else { return };
        let could_write = |server: &&ServerState| {
            server.id != former && server.role == Role::Reader && server.health == Health::Up
        };
        for server in now.servers.iter().filter(could_write) {
            if !prepared.insert(server.id) {
                continue;
            }
            for pool in self.pools() {
                if pool.key().server == former {
                    let key = PoolKey { server: server.id, ..pool.key().clone() };
                    if let Some(pool) = self.pool(&key) {
                        pool.prepare(PREPARED);
                    }
                }
            }
        }
    }

    fn fence(&self, pool: &Arc<Pool>) {
        let counts = pool.counts();
        tracing::warn!(
            service = &*self.name,
            user = &*pool.key().user,
            server = pool.key().server.0,
            connections = counts.open,
            "the connections to a server are given up"
        );
        self.forget_pool(pool);
        pool.close();
    }
}

#[cfg(test)]
mod simulation;
