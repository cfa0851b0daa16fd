//! Connections of the monitor's, beside those of the pools, that ask servers what sessions of others
//! hold.

use super::service::Service;
use crate::backend::connection::Connection;
use crate::backend::dialogue::{Content, Question};
use crate::backend::server::ServerId;
use crate::pool::{Pool, PoolKey};
use crate::runtime::Law;
use crate::session::residue::CapturedResult;
use crate::session::server::Flavor;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long an answer may take, the wait for a connection included.
const LIMIT: Duration = Duration::from_secs(2);
/// After a refusal, nobody is asked for so long.
const REFUSED: Duration = Duration::from_secs(30);
/// The same after a failure.
const FAILED: Duration = Duration::from_secs(3);
/// After so long without a question, the connections are closed.
const REST: Duration = Duration::from_secs(10);

/// Those of one service.
#[derive(Debug, Default)]
pub struct Inspectors {
    /// One for each server, unless it is asking.
    idle: Mutex<HashMap<ServerId, Box<Connection>>>,
    /// Questions wait for each other: more than one connection to a server is not to be opened for
    /// them.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    told: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    last_used: Option<Instant>,
    /// Until when nobody is asked.
    pause: Option<Instant>,
    /// Whether somebody waits to close them.
    closing: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// The server does not answer such questions, with this error.
    Refused(u16),
    /// It could not be asked.
    Failed,
}

impl Inspectors {
    /// Whether there were answers of late.
    pub(super) fn may_ask(&self) -> bool {
        self.state.lock().pause.is_none_or(|until| until <= Instant::now())
    }

    /// There was no answer.
    pub(super) fn failed(&self) {
        self.pause(FAILED);
    }

    fn pause(&self, pause: Duration) {
        self.state.lock().pause = Some(Instant::now() + pause);
    }
}

impl Service {
    /// Asks a server about the connection of another user.
    ///
    /// Not cancel safe: the connection is closed when this is interrupted.
    pub(super) async fn ask_about(
        self: &Arc<Self>,
        server: ServerId,
        sql: &str,
    ) -> Result<CapturedResult, NoAnswer> {
        let asking = async {
            let _turn = self.inspectors.turn.lock().await;
            let known = self.inspectors.idle.lock().remove(&server);
            let mut connection = match known.and_then(usable) {
                Some(connection) => connection,
                None => self.open_inspector(server).await.ok_or(NoAnswer::Failed)?,
            };
            let question = [Question::Query(sql.as_bytes())];
            let mut replies = connection.ask(&question).await.map_err(|_| NoAnswer::Failed)?;
            self.rests(server, connection);
            match replies.pop().map(|reply| reply.content) {
                Some(Content::Rows(answer)) => Ok(answer.result),
                Some(Content::Err(error)) => Err(NoAnswer::Refused(error.code)),
                _ => Err(NoAnswer::Failed),
            }
        };
        timeout(LIMIT, asking).await.unwrap_or(Err(NoAnswer::Failed))
    }

    async fn open_inspector(&self, server: ServerId) -> Option<Box<Connection>> {
        let user = self.limits().monitor_user.clone();
        let key = PoolKey {
            server,
            user,
            found_rows: false,
            local_files: false,
            extended_metadata: false,
        };
        let pool: Arc<Pool> = self.pool(&key)?;
        match pool.open_apart().await {
            Ok(connection) => Some(Box::new(connection)),
            Err(error) => {
                tracing::debug!(service = &*self.name, %error, "nobody can ask what a session holds");
                None
            }
        }
    }

    /// Keeps a connection for the next question, for a while.
    fn rests(self: &Arc<Self>, server: ServerId, connection: Box<Connection>) {
        self.inspectors.idle.lock().insert(server, connection);
        let mut state = self.inspectors.state.lock();
        state.last_used = Some(Instant::now());
        if !std::mem::replace(&mut state.closing, true) {
            let service = self.clone();
            self.tasks.spawn("rest of inspectors", Law::Mortal, service.close_inspectors());
        }
    }

    /// Closes the connections when they were not needed for a while.
    async fn close_inspectors(self: Arc<Self>) {
        let stopping = self.tasks.stop_signal().clone();
        loop {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = sleep(REST) => {
                    let mut state = self.inspectors.state.lock();
                    if state.last_used.is_some_and(|last| last.elapsed() < REST) {
                        continue;
                    }
                    state.closing = false;
                }
            }
            break;
        }
        let connections = std::mem::take(&mut *self.inspectors.idle.lock());
        for connection in connections.into_values() {
            connection.quit().await;
        }
    }

    /// The server does not say what sessions hold: it is left alone for a while, and the log says
    /// what would help.
    pub(super) fn inspection_refused(&self, flavor: Flavor, code: Option<u16>) {
        self.inspectors.pause(REFUSED);
        if self.inspectors.told.swap(true, Ordering::Relaxed) {
            return;
        }
        let remedy = match flavor {
            Flavor::MySql => {
                "have performance_schema on, with its instrument wait/lock/metadata/sql/mdl, and \
                 GRANT SELECT ON performance_schema.* to monitor_user"
            }
            Flavor::MariaDb => "INSTALL SONAME 'metadata_lock_info'",
        };
        tracing::warn!(
            service = &*self.name,
            code,
            "the server does not say what sessions hold whose statements may have done anything: \
             they keep their connections. To have it say so, {remedy}"
        );
    }
}

/// The connection, unless the server has closed it.
fn usable(mut connection: Box<Connection>) -> Option<Box<Connection>> {
    (!connection.is_stale()).then_some(connection)
}
