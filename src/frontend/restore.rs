//! Puts a session in place on a backend connection: what has to be said in front of its statement,
//! and the answers to that.

use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::failure::Sent;
use super::run::Placed;
use super::told::Told;
use crate::backend::connection::{Connection, Resets};
use crate::backend::dialogue::{Content, Question, Reply};
use crate::session::align::{Alignment, Restore, align, needs_login};
use crate::session::effect::found_rows;
use crate::session::need::{self, Leftover};
use crate::session::pin::PinReason;
use crate::session::prepared::environment_to_prepare;
use crate::session::residue::{Diagnostics, FoundRows};
use crate::session::server::Flavor;
use crate::session::state::{Environment, same, unite};
use crate::session::statement::{Analysis, DatabaseUse, Marks, StatementKind};
use crate::session::treatment::PoolMode;
use crate::wire::capability::Status;
use std::sync::Arc;

/// Clears warnings on both servers.
pub(super) const CLEAR: &[u8] = b"SELECT 1 FROM (SELECT 1) x";

/// Whether a connection has the environment in which a statement was prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Adopted {
    /// It has.
    Exactly,
    /// It has, but for a database, which it cannot leave.
    ButDatabase,
    /// It cannot have it, and was given up: another one may.
    Elsewhere,
    /// It has not; the client has been told, or its command is run again.
    Not,
}

impl Client {
    /// What has to be said to the connection in front of a statement; `None` when the client has
    /// been told that there is no connection for it.
    pub(super) async fn steps(
        &mut self,
        analysis: &Analysis,
        placed: Placed,
        sequence: u8,
    ) -> Result<Option<Vec<Restore>>, Stop> {
        if need::reads_lost(&self.session, analysis) {
            self.put_error(sequence.wrapping_add(1), &Told::LOST_STATE);
            return Err(Stop::StateLost);
        }
        if !self.make_fit(analysis, placed, sequence).await? {
            return Ok(None);
        }
        if !self.keep_found_rows(analysis, sequence).await? {
            return Ok(None);
        }
        if analysis.marks.has(Marks::BACKEND_LOCAL_WRITE) && !self.learn_sequences(analysis).await {
            return self.connection_failed(sequence, Sent::Nothing).map(|()| None);
        }
        let mut steps = self.restores(analysis);
        if !steps.is_empty() && self.session.unsettled.is_after_error() {
            self.settle_error().await;
            if self.lease.is_none() {
                return self.connection_failed(sequence, Sent::Nothing).map(|()| None);
            }
            steps = self.restores(analysis);
        }
        let Some(lease) = &mut self.lease else { return Ok(Some(steps)) };
        let metrics = &lease.pool().metrics;
        if steps.is_empty() {
            metrics.exact.inc();
        } else {
            metrics.replayed.inc();
            need::restored(&mut self.session, analysis, &mut lease.connection().traces);
        }
        Ok(Some(steps))
    }

    /// Brings here what `FOUND_ROWS()` is, where what will be said in front of the statement is found
    /// instead, or what the connection has may be another's. False when the client has been told that
    /// it cannot be had.
    pub(super) async fn keep_found_rows(
        &mut self,
        analysis: &Analysis,
        sequence: u8,
    ) -> Result<bool, Stop> {
        let found = self.session.residue.found_rows;
        let reads = analysis.marks.has(Marks::FOUND_ROWS) || found_rows::may_leave(analysis);
        let other = matches!(found, FoundRows::Left { .. }) && reads;
        let cleared = found.is_on_backend()
            && self.finds_diagnostics(analysis)
            && self.restores(analysis).contains(&Restore::Query(CLEAR.to_vec()));
        if other || cleared {
            self.bring().await;
            if self.lease.is_none() {
                return self.connection_failed(sequence, Sent::Nothing).map(|()| false);
            }
        }
        Ok(true)
    }

    /// Resets the connection where it has something that this statement must not see. False when
    /// the client has been told that it does not work.
    async fn reset_if_foreign(&mut self, analysis: &Analysis, sequence: u8) -> Result<bool, Stop> {
        let Some(lease) = &mut self.lease else { return Ok(false) };
        let dedicated = self.session.pool_mode() == PoolMode::Dedicated;
        if !self.session.pins.is_empty()
            || !(dedicated || need::must_reset(&self.session, analysis, &lease.connection().traces))
        {
            return Ok(true);
        }
        if lease.connection().resets == Resets::BeforeLogin {
            // It is as clean as a reset would make it, or else was not found fit.
            self.session.pins.put(PinReason::PoolMode, dedicated.into());
            return Ok(true);
        }
        if !self.session.residue.is_portable() {
            // What the session itself has there would go, too.
            self.bring().await;
        }
        let Some(lease) = &mut self.lease else {
            return self.connection_failed(sequence, Sent::Nothing).map(|()| false);
        };
        let reset = lease.connection().reset().await;
        lease.pool().metrics.reset.inc();
        if let Err(error) = reset {
            tracing::warn!(%error, "a backend connection could not be reset");
            return self.connection_failed(sequence, Sent::Nothing).map(|()| false);
        }
        if !self.session.residue.is_portable() {
            // What could not be brought, such as of a locked sequence, is gone, and nothing else is said.
            self.session.residue.lost();
        }
        self.session.pins.put(PinReason::PoolMode, dedicated.into());
        Ok(true)
    }

    /// Whether the connection has warnings of another session, or of Millpond's own, that would be
    /// there for this statement or behind it.
    fn has_foreign_diagnostics(&mut self, analysis: &Analysis) -> bool {
        let Some(lease) = &mut self.lease else { return false };
        lease.connection().traces.diagnostics == Leftover::Present
            && self.finds_diagnostics(analysis)
    }

    /// Whether the statement would find, or leave, warnings that are on the connection without being
    /// the session's.
    fn finds_diagnostics(&self, analysis: &Analysis) -> bool {
        let flavor = self.session.dialect.flavor;
        // MariaDB keeps warnings until a statement uses a table, and MySQL during commands that are
        // no statements, and for statements that ask for them or add to them.
        let asks = Marks::SHOW_DIAGNOSTICS | Marks::GET_DIAGNOSTICS;
        let stays = flavor == Flavor::MariaDb
            || analysis.count == 0
            || analysis.kind == StatementKind::Resignal
            || analysis.marks.intersects(asks)
            || self.is_crowded_out();
        stays
            && self.session.residue.diagnostics != Diagnostics::OnBackend
            && !self.session.pins.has(PinReason::Xa)
    }

    /// The restores that the connection needs in front of the command.
    pub(super) fn restores(&mut self, analysis: &Analysis) -> Vec<Restore> {
        let clears = self.has_foreign_diagnostics(analysis);
        let finds = self.finds_diagnostics(analysis);
        let Some(lease) = &mut self.lease else { return Vec::new() };
        let connection = lease.connection();
        if self.session.entered == 0 {
            self.session.entered = self.service.moment();
        }
        let wanted = &mut self.session.environment;
        let enters = connection.entered < self.session.entered
            && wanted.database.is_some()
            && connection.environment.database == wanted.database;
        let mut outside = None;
        if enters {
            // Aligned as one that is in no database, it looks again at the one that it is in.
            let environment = Environment { database: None, ..(*connection.environment).clone() };
            outside = Some(Arc::new(environment));
        }
        let flavor = connection.server.version.flavor;
        let have = outside.as_ref().unwrap_or(&connection.environment);
        let mut steps = match align(have, wanted, &connection.baseline) {
            Alignment::Exact => {
                unite(&mut connection.environment, wanted);
                Vec::new()
            }
            Alignment::Replay(steps) => steps,
            // The statement does not mind, or the connection would not be fit.
            Alignment::LoginAgain => but_database(connection, wanted),
        };
        if enters && flavor == Flavor::MariaDb {
            leave_first(&mut steps);
        } else if analysis.database == DatabaseUse::Entered
            && flavor == Flavor::MariaDb
            && needs_login(&connection.environment, wanted)
        {
            steps.push(Restore::InitDb(NOWHERE.into()));
        }
        need::put_variables(&self.session, analysis, &connection.traces, &mut steps);
        // Some variables warn of the values that they are given, and some values of their character
        // set.
        let warned = flavor == Flavor::MySql
            && steps.iter().any(|step| matches!(step, Restore::Query(_)))
            && finds;
        if clears || warned {
            steps.push(Restore::Query(CLEAR.to_vec()));
        }
        need::put_found_rows(&self.session, analysis, &connection.traces, &mut steps);
        need::put_next_transaction(&self.session, &connection.traces, &mut steps);
        steps
    }

    /// Sees to it that restores alone put the session in place: resets the connection, or takes
    /// another. False when the client has been told that there is none, or its command is run
    /// again.
    pub(super) async fn make_fit(
        &mut self,
        analysis: &Analysis,
        placed: Placed,
        sequence: u8,
    ) -> Result<bool, Stop> {
        loop {
            let Some(lease) = &mut self.lease else { return Ok(false) };
            // A reset would take over global values of now, which nobody has looked at, or take away
            // what the server gave at the login.
            let unknown = (lease.is_outdated() || lease.connection().resets == Resets::BeforeLogin)
                && self.session.pins.is_empty()
                && need::must_reset(&self.session, analysis, &lease.connection().traces);
            if !unknown {
                if !self.reset_if_foreign(analysis, sequence).await? {
                    return Ok(false);
                }
                let Some(lease) = &mut self.lease else { return Ok(false) };
                if !needs_login(&lease.connection().environment, &self.session.environment)
                    || self.minds_no_database(analysis)
                {
                    return Ok(true);
                }
            }
            // Only a connection that never had a database can do without one.
            if !self.session.residue.is_portable() {
                self.bring().await;
            }
            if let Some(lease) = &self.lease {
                lease.pool().metrics.reset.inc();
            }
            self.sever();
            if placed == Placed::Here {
                // What was prepared for it went with the connection.
                self.run_again(Told::LOST_NOT_RUN, None);
                return Ok(false);
            }
            if self.borrow(sequence).await? == Borrowed::No {
                return Ok(false);
            }
        }
    }

    /// Whether a statement of a session that is in no database may run on a connection that is in
    /// one. Nothing may bind the session to that connection: it could not be used for what does mind.
    fn minds_no_database(&self, analysis: &Analysis) -> bool {
        analysis.database != DatabaseUse::Minded
            && self.session.pins.is_empty()
            && self.session.unsettled.is_settled()
            && self.session.status.has(Status::AUTOCOMMIT)
            && self.session.pool_mode() == PoolMode::Transaction
    }

    /// Puts the session in place on its connection now, for a statement of Millpond's own.
    pub(super) async fn align_now(
        &mut self,
        analysis: &Analysis,
        sequence: u8,
    ) -> Result<bool, Stop> {
        let steps = self.steps(analysis, Placed::Anywhere, sequence).await?;
        let Some(steps) = steps else { return Ok(false) };
        if steps.is_empty() {
            return Ok(true);
        }
        self.restore_first(&steps, sequence).await
    }

    /// Puts the connection into the environment in which a statement was prepared, as far as that
    /// decides what it means.
    pub(super) async fn adopt(
        &mut self,
        prepared_in: &Environment,
        sequence: u8,
    ) -> Result<Adopted, Stop> {
        if !self.session.unsettled.is_settled() {
            // The environment has to be put back exactly.
            self.settle().await;
        }
        let Some(lease) = &mut self.lease else {
            return self.connection_failed(sequence, Sent::Nothing).map(|()| Adopted::Not);
        };
        if need::has_foreign_next_transaction(&self.session, &lease.connection().traces) {
            // What writes could not be prepared under another session's READ ONLY (measured on MySQL).
            let end = Question::Query(need::END_TRANSACTION);
            let ended = lease.connection().ask(&[end]).await;
            if !matches!(ended.as_deref(), Ok([Reply { content: Content::Ok(_), .. }])) {
                return self.connection_failed(sequence, Sent::Nothing).map(|()| Adopted::Not);
            }
            lease.connection().traces.next_transaction = Leftover::None;
        }
        let connection = lease.connection();
        let mut wanted = environment_to_prepare(&self.session.environment, prepared_in);
        let mut adopted = Adopted::Exactly;
        if wanted.database.is_none() && !self.session.pins.is_empty() {
            // There is no way to leave the database and keep the connection. Names without a
            // database could not be prepared without one, so this means much the same.
            wanted.database.clone_from(&self.session.environment.database);
            adopted = Adopted::ButDatabase;
        }
        let wanted = Arc::new(wanted);
        if same(&connection.environment, &wanted) {
            return Ok(adopted);
        }
        match align(&connection.environment, &wanted, &connection.baseline) {
            Alignment::Exact => {}
            Alignment::Replay(steps) => {
                let session = std::mem::replace(&mut self.session.environment, wanted);
                let restored = self.restore_first(&steps, sequence).await;
                self.session.environment = session;
                if !restored? {
                    return Ok(Adopted::Not);
                }
            }
            Alignment::LoginAgain => {
                if !self.session.residue.is_portable() {
                    self.bring().await;
                }
                self.sever();
                return Ok(Adopted::Elsewhere);
            }
        }
        Ok(adopted)
    }
}

/// A database that everybody may enter.
const NOWHERE: &[u8] = b"information_schema";

/// MariaDB takes the database that it is in for known (measured): it has to leave it to look again.
fn leave_first(steps: &mut Vec<Restore>) {
    if let Some(at) = steps.iter().position(|step| matches!(step, Restore::InitDb(_))) {
        steps.insert(at, Restore::InitDb(NOWHERE.into()));
    }
}

/// What gives a connection all that is wanted, but that it is in a database.
fn but_database(connection: &Connection, wanted: &Environment) -> Vec<Restore> {
    let database = connection.environment.database.clone();
    let wanted = Arc::new(Environment { database, ..wanted.clone() });
    match align(&connection.environment, &wanted, &connection.baseline) {
        Alignment::Replay(steps) => steps,
        Alignment::Exact | Alignment::LoginAgain => Vec::new(),
    }
}
