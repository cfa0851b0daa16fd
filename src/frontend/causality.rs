//! A session that reads never goes back in time: before it reads at another server, that one has
//! everything that the writer had when the session moved, which is at least what the session saw.
//!
//! That takes GTIDs. MySQL has none with `gtid_mode = OFF`; then readers are only held to
//! `reader_max_lag`.

use super::client::Client;
use super::service::Service;
use crate::backend::dialogue::{Content, Question, Reply};
use crate::config::WithoutReaders;
use crate::failover::snapshot::ServerId;
use crate::pool::Pool;
use crate::pool::lease::Lease;
use crate::router::{Access, Route};
use crate::runtime::Law;
use crate::session::server::Flavor;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// How long a reader may take to catch up where the writer can be read instead.
const SHORT_WAIT: Duration = Duration::from_millis(20);
/// When sessions that read from the writer instead look for a reader again.
const NEXT_LOOK: Duration = Duration::from_secs(1);
/// How long one question may wait for a reader to catch up; it is asked again.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// Where the writer was when it was last asked: many sessions move at the same moment.
#[derive(Debug, Default)]
pub struct WriterPosition {
    asked: Mutex<Option<Asked>>,
    /// Whether sessions will be told to look for a reader again.
    next_look: AtomicBool,
}

#[derive(Debug)]
struct Asked {
    /// When the question was put.
    at: Instant,
    /// Empty where there are no GTIDs.
    position: Arc<str>,
}

/// Whether a session may read at a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// It has all that the session may have seen.
    Yes,
    /// Not yet, or nobody knows.
    NotYet,
    /// The connection to it failed.
    Lost,
}

impl Service {
    /// What the writer had executed at some moment after `since`; empty where there are no GTIDs,
    /// `None` when the writer cannot be asked.
    async fn writer_position(
        &self,
        user: &Arc<str>,
        since: Instant,
        deadline: Instant,
    ) -> Option<Arc<str>> {
        let mut known = self.topology.position.asked.lock().await;
        if let Some(asked) = known.as_ref().filter(|asked| asked.at >= since) {
            return Some(asked.position.clone());
        }
        let at = Instant::now();
        let mut lease = self.writer_pool(user)?.acquire(at, deadline).await.ok()?;
        let connection = lease.connection();
        let question: &[u8] = match connection.server.version.flavor {
            Flavor::MariaDb => b"SELECT @@GLOBAL.gtid_current_pos LIMIT 1",
            Flavor::MySql => b"SELECT @@GLOBAL.gtid_executed LIMIT 1",
        };
        let replies = connection.ask(&[Question::Query(question)]).await.ok()?;
        lease.release();
        let position = first_value(&replies).unwrap_or_default();
        // It goes into a statement.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-:,_ \n".contains(c);
        let position: Arc<str> =
            if position.chars().all(plain) { position.into() } else { "".into() };
        *known = Some(Asked { at, position: position.clone() });
        Some(position)
    }
}

impl Client {
    /// Waits until the server of a lease has all that this session may have read elsewhere.
    ///
    /// Not cancel safe: the lease must be dropped.
    pub(super) async fn catch_up(&mut self, lease: &mut Lease, deadline: Instant) -> Reached {
        let server = lease.pool().key().server;
        if self.access != Access::Read
            || !self.moved
            || self.service.topology.snapshot().writer().is_some_and(|w| w.id == server)
        {
            self.moved = false;
            return Reached::Yes;
        }
        let now = Instant::now();
        let position = self.service.writer_position(&self.user, now, deadline).await;
        let Some(position) = position else { return Reached::NotYet };
        let longest = match self.writer_instead() {
            Some(_) => SHORT_WAIT,
            None => LONG_WAIT,
        };
        let wait = longest.min(deadline.saturating_duration_since(Instant::now()));
        let reached = match position.is_empty() {
            true => Reached::Yes,
            false => has(lease, &position, wait).await,
        };
        let moves = &self.service.metrics.disturbances;
        match reached {
            Reached::Yes => {
                moves.caught_up.inc();
                self.moved = false;
            }
            Reached::NotYet | Reached::Lost => moves.behind.inc(),
        }
        reached
    }

    /// The writer's pool, where this session may read there instead of waiting for a reader.
    fn writer_instead(&self) -> Option<Arc<Pool>> {
        if self.service.topology.without_readers() == WithoutReaders::Wait {
            return None;
        }
        let Route::To(server) = self.service.route(Access::Write, ServerId(0)) else { return None };
        self.service.pool(&crate::pool::PoolKey { server, ..self.pool.key().clone() })
    }

    /// Goes to the writer where that may be read, for a second or until the servers are seen
    /// otherwise; whether it does.
    pub(super) fn reads_from_writer(&mut self) -> bool {
        let instead = self.writer_instead();
        let goes = instead.is_some();
        if let Some(pool) = instead {
            self.pool = pool;
            let service = self.service.clone();
            if !service.topology.position.next_look.swap(true, Ordering::AcqRel) {
                service.tasks.clone().spawn("next look for readers", Law::Mortal, async move {
                    let stopping = service.tasks.stop_signal();
                    stopping.run_until_cancelled(sleep(NEXT_LOOK)).await;
                    service.topology.position.next_look.store(false, Ordering::Release);
                    service.topology.raise();
                });
            }
        }
        goes
    }
}

/// Whether a reader has everything up to a position, within some time.
async fn has(lease: &mut Lease, position: &str, wait: Duration) -> Reached {
    let connection = lease.connection();
    let function = match connection.server.version.flavor {
        Flavor::MariaDb => "MASTER_GTID_WAIT",
        Flavor::MySql => "WAIT_FOR_EXECUTED_GTID_SET",
    };
    let question = format!("SELECT {function}('{position}', {:.3}) LIMIT 1", wait.as_secs_f64());
    match connection.ask(&[Question::Query(question.as_bytes())]).await {
        Ok(replies) if first_value(&replies).is_some_and(|value| value == "0") => Reached::Yes,
        Ok(_) => Reached::NotYet,
        Err(_) => Reached::Lost,
    }
}

fn first_value(replies: &[Reply]) -> Option<String> {
    let Content::Rows(answer) = &replies.first()?.content else { return None };
    String::from_utf8(answer.first_row.first()?.clone()?).ok()
}
