//! Transactions that take too long. They are rolled back on the server at once; the client is told
//! at its next command, which is not run, and keeps its connection.
//!
//! A server that cuts one ends the client's connection, and what its driver then says is that the
//! network failed. What a session has besides its transaction does not depend on that, so here it
//! stays, and the client hears what happened. Only what cannot be had without the backend connection
//! (a distributed transaction, or a server that does not answer) takes the client's with it.

use super::cancel::Handle;
use super::client::{Client, Stop};
use super::run::Ran;
use super::told::Told;
use crate::backend::dialogue::{Content, Question};
use crate::pool::Pool;
use crate::runtime::{Law, Tasks};
use crate::session::effect;
use crate::session::need::Leftover;
use crate::session::pin::{Holds, PinReason};
use crate::wire::command::CommandCode;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// Said whatever `completion_type` is.
const ROLLBACK: &[u8] = b"ROLLBACK AND NO CHAIN NO RELEASE";
/// How long a server may take for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a transaction is cut: the log's text and the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum CutReason {
    /// Its client said nothing for `idle_transaction_timeout`.
    Idle,
    /// It was open for `max_transaction_time`.
    TooLong,
}

impl CutReason {
    /// Both, in alphabetical order.
    pub const ALL: [Self; 2] = [Self::Idle, Self::TooLong];

    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::TooLong => "too_long",
        }
    }
}

/// A transaction was cut, and its client does not know yet.
#[derive(Debug)]
pub struct Cut {
    told: Told,
    then: Then,
}

/// What becomes of a client's connection once it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It ends: the session's state is lost.
    Ends,
    /// It stays.
    Stays,
}

/// The moment at which the client's transaction has to be cut.
#[derive(Debug)]
pub(super) struct Due {
    reason: CutReason,
    at: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Due {
    fn new(at: Instant, reason: CutReason) -> Self {
        Self { reason, at, sleep: Box::pin(sleep_until(at)) }
    }

    /// When it is.
    pub(super) fn at(&self) -> Instant {
        self.at
    }
}

/// Waits for that moment, for ever where there is none.
///
/// Cancel safe.
pub(super) async fn come(due: &mut Option<Due>) -> CutReason {
    match due {
        Some(due) => {
            due.sleep.as_mut().await;
            due.reason
        }
        None => std::future::pending().await,
    }
}

/// Ends the statement of a client, whose transaction has taken too long, on its server.
pub(super) fn interrupt(handle: Arc<Handle>, pool: Arc<Pool>, tasks: &Tasks) {
    tasks.spawn("interruption of a statement", Law::Mortal, async move {
        // Held until the server has answered, so that it hits no other session.
        let Some(target) = handle.aim() else { return };
        if target.thread.server != pool.key().server {
            return;
        }
        // Of its own: this must work when all others are busy.
        match pool.open_apart().await {
            Ok(mut control) => {
                let sql = format!("KILL QUERY {}", target.thread.id);
                if let Err(error) = control.ask(&[Question::Query(sql.as_bytes())]).await {
                    tracing::debug!(%error, "a statement could not be interrupted");
                }
                drop(target);
                control.quit().await;
            }
            Err(error) => tracing::warn!(%error, "a statement could not be interrupted"),
        }
    });
}

impl Client {
    /// When the open transaction has to be cut, if the client says nothing until then.
    pub(super) fn due_when_idle(&self) -> Option<Due> {
        let since = self.counted_pins.transaction_since()?;
        let limits = self.service.limits();
        let limits = limits.of(&self.user);
        let idle = limits.idle_transaction.map(|limit| (Instant::now() + limit, CutReason::Idle));
        let open = limits.transaction.map(|limit| (since + limit, CutReason::TooLong));
        let (at, reason) = idle.into_iter().chain(open).min_by_key(|(at, _)| *at)?;
        Some(Due::new(at, reason))
    }

    /// When the open transaction has to be cut, whatever its client does.
    pub(super) fn due_at_work(&self) -> Option<Due> {
        let since = self.counted_pins.transaction_since()?;
        let limit = self.service.limits().of(&self.user).transaction?;
        Some(Due::new(since + limit, CutReason::TooLong))
    }

    /// Whether the open transaction has taken too long by now.
    pub(super) fn is_overdue(&self) -> bool {
        self.due_at_work().is_some_and(|due| due.at <= Instant::now())
    }

    /// Rolls the transaction back, and remembers to tell the client. The connection is still the
    /// session's afterwards: whoever calls this concludes.
    pub(super) async fn cut_transaction(&mut self, reason: CutReason) {
        let limit = {
            let limits = self.service.limits();
            let limits = limits.of(&self.user);
            match reason {
                CutReason::Idle => limits.idle_transaction,
                CutReason::TooLong => limits.transaction,
            }
        };
        tracing::warn!(
            service = &*self.service.name,
            user = &*self.user,
            client = self.entry.handle().id,
            reason = reason.name(),
            "a transaction is rolled back, which took too long"
        );
        self.counted_pins.cut(reason);
        let then = match self.roll_back().await {
            true => Then::Stays,
            false => self.lose_transaction(),
        };
        let told = Told::transaction_cut(reason, limit.unwrap_or_default());
        self.cut = Some(Box::new(Cut { told, then }));
    }

    async fn roll_back(&mut self) -> bool {
        if self.session.pins.has(PinReason::Xa) {
            return false;
        }
        // One that is still on its way would hit the rollback.
        self.entry.handle().kills_settled().await;
        let Some(lease) = &mut self.lease else { return false };
        let connection = lease.connection();
        let asked = timeout(PATIENCE, connection.ask(&[Question::Query(ROLLBACK)])).await;
        let Ok(Ok(replies)) = asked else { return false };
        connection.traces.diagnostics = Leftover::Present;
        for reply in replies {
            let Content::Ok(status) = reply.content else { return false };
            connection.status = status;
            let changed = effect::settled(&mut self.session, &reply.changes, Some(status));
            if changed {
                connection.follow(&self.session.environment, reply.changes.schema.is_some());
                let version = connection.server.version.clone();
                let baseline = connection.baseline.clone();
                self.session.environment_changed(&version, &baseline);
            }
        }
        effect::forget_diagnostics(&mut self.session);
        self.session.pins.put(PinReason::Savepoint, Holds::No);
        self.session.pins.put(PinReason::MetadataLock, Holds::No);
        !self.session.pins.has(PinReason::Transaction)
    }

    /// The backend connection is closed, which ends the transaction, too.
    fn lose_transaction(&mut self) -> Then {
        let then = if self.session.pins.beyond_transaction() { Then::Ends } else { Then::Stays };
        if let Some(lease) = self.lease.take() {
            lease.discard();
        }
        self.entry.handle().gives();
        self.session.residue.lost();
        self.forget_transaction();
        then
    }

    /// The statement under way was interrupted because its transaction has taken too long: that is
    /// what the client is told.
    pub(super) async fn interrupted(&mut self, sequence: u8) -> Result<Ran, Stop> {
        self.cut_transaction(CutReason::TooLong).await;
        if let Some(cut) = self.cut.take() {
            self.put_error(sequence.wrapping_add(1), &cut.told);
            if cut.then == Then::Ends {
                return Err(Stop::StateLost);
            }
        }
        Ok(Ran::Refused)
    }

    /// Answers a command of a client whose transaction was cut before it. True when that is its
    /// answer.
    pub(super) fn tell_cut(&mut self, command: &[u8], sequence: u8) -> Result<bool, Stop> {
        let silent = matches!(
            super::serve::code(command),
            Some(CommandCode::Quit | CommandCode::StmtClose | CommandCode::StmtSendLongData)
        );
        if silent {
            return Ok(false);
        }
        let Some(cut) = self.cut.take() else { return Ok(false) };
        if matches!(
            super::serve::code(command),
            Some(CommandCode::ResetConnection | CommandCode::ChangeUser)
        ) {
            // It wants nothing of what it has.
            return Ok(false);
        }
        self.put_error(sequence.wrapping_add(1), &cut.told);
        match cut.then {
            Then::Ends => Err(Stop::StateLost),
            Then::Stays => Ok(true),
        }
    }
}
