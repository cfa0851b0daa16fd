//! After a command: what is still open is asked, and the backend connection is given back as soon
//! as nothing holds it.

use super::borrow::thread_of;
use super::client::{Client, Stop};
use super::reply::with_owed;
use crate::backend::connection::TRACKERS;
use crate::backend::dialogue::{Content, Question, answers};
use crate::failover::suspicion::Evidence;
use crate::session::changes::Changes;
use crate::session::effect;
use crate::session::inspection;
use crate::session::model::Unsettled;
use crate::session::need::{self, Leftover};
use crate::session::pin::{Holds, PinReason};
use crate::session::residue::{CaptureMismatch, Captured, Diagnostics};
use crate::session::sequences::Within;
use crate::session::server::Flavor;
use crate::session::state::{ResultsCollation, SeparateCharsets};
use crate::session::treatment::PoolMode;
use crate::session::wide::Wide;
use crate::wire::capability::{Capabilities, Status};
use std::sync::Arc;

/// Asked when a character set variable changed: one of them is never reported. As bytes, whatever the
/// character set of results is by now, and with a limit of its own, as all that is asked in a
/// session's name: the session's `sql_select_limit` may be 0.
const CHARSETS: &[u8] =
    b"SELECT CAST(@@character_set_client AS BINARY), CAST(@@character_set_results AS BINARY), \
CAST(@@collation_connection AS BINARY) LIMIT 1";

/// A variable that is set to its own value is reported by MariaDB's tracker, when the scope is
/// written. It clears no warnings.
const SET_TO_ITSELF: &[u8] = b"SET @@SESSION.`";

/// Errors that say that there was nothing to set in this session: 1193
/// `ER_UNKNOWN_SYSTEM_VARIABLE`, 1228 and 1229 for one that is only global, 1238 for a constant.
const NOT_SET: [u16; 4] = [1193, 1228, 1229, 1238];

fn set_to_itself(name: &[u8]) -> Vec<u8> {
    let quoted: Vec<u8> =
        name.iter().flat_map(|&b| if b == b'`' { vec![b, b] } else { vec![b] }).collect();
    [SET_TO_ITSELF, &quoted, b"`=@@SESSION.`", &quoted, b"`"].concat()
}

impl Client {
    /// Gives the backend connection back, deposits it, or keeps it, as the session's state wants.
    /// The client has its answer before anything is asked for it here.
    ///
    /// # Errors
    ///
    /// When the client went away while its answer was sent.
    pub async fn conclude(&mut self) -> Result<(), Stop> {
        if self.session.residue.has_too_many_variables() {
            self.session.pins.put(PinReason::UserVariable, Holds::Yes);
        }
        if let Some(values) = self.session.residue.last_values()
            && values.are_too_many()
        {
            self.session.pins.put(PinReason::Sequence, Holds::Yes);
        }
        let by_mode = self.lease.is_some() && self.session.pool_mode() != PoolMode::Transaction;
        self.session.pins.put(PinReason::PoolMode, by_mode.into());
        let unsettled = &self.session.unsettled;
        let results = unsettled.results
            || unsettled.charsets && self.session.pins.has(PinReason::ResultsCharset);
        if (unsettled.settings.is_some() || results) && self.lease.is_some() {
            // Whatever pins: how the next statement, or an answer, is to be read may depend on it.
            self.channel.flush().await?;
            self.settle().await;
        }
        if inspection::is_due(&self.session) {
            Box::pin(self.inspect()).await?;
        }
        while self.lease.is_some() && self.may_give_back() {
            if self.session.unsettled.is_settled() {
                self.give_back().await?;
                break;
            }
            self.channel.flush().await?;
            self.settle().await;
        }
        self.count_pins();
        if std::mem::take(&mut self.globals_changed) {
            self.service.globals.forget();
            for pool in self.service.pools() {
                pool.renew();
            }
            if self.lease.is_none() {
                // Before the client knows that it is done, a session that begins now knows it.
                self.catalogue_changed = true;
            } else {
                self.service.catalogue_stale.notify_one();
            }
        }
        if std::mem::take(&mut self.catalogue_changed) {
            // Before the client knows that its routine or trigger exists, everybody does.
            let pool = self.pool.clone();
            if !self.service.refresh_catalogue(&pool).await {
                self.service.catalogue_stale.notify_one();
            }
        }
        Ok(())
    }

    fn may_give_back(&self) -> bool {
        let pins = &self.session.pins;
        pins.is_empty() || (self.session.unsettled.locks && pins.only_known_locks())
    }

    /// Asks what the last statement left open.
    pub(super) async fn settle(&mut self) {
        let unsettled = self.session.unsettled.clone();
        let after_error = unsettled.is_after_error();
        let Unsettled { charsets, results, locks, settings, .. } = unsettled;
        let residue = &self.session.residue;
        let answers = match self.session.dialect.flavor {
            Flavor::MySql => residue.has_answers_on_backend(),
            // These questions use no table, which is what clears warnings.
            Flavor::MariaDb => residue.found_rows.is_on_backend(),
        };
        // MariaDB warns of some variables whatever they are set to, such as `storage_engine`.
        let warned = settings.is_some() && residue.diagnostics == Diagnostics::OnBackend;
        if (charsets || locks) && answers || warned {
            // The questions have answers of their own, and MySQL clears warnings for them.
            self.bring().await;
        }
        let settings: Vec<_> =
            settings.iter().flat_map(|s| &s.names).map(|name| set_to_itself(name)).collect();
        let Some(lease) = &mut self.lease else { return };
        let connection = lease.connection();
        let flavor = connection.server.version.flavor;
        let database = self.session.environment.database.clone();
        let locks_query = if locks { self.session.pins.locks_query() } else { None };
        let mut questions = Vec::new();
        if after_error {
            // MySQL sends pending trackers with any OK, MariaDB only with one that reports a
            // change of its own: the current database again, or a tracker set to what it is.
            questions.push(match (flavor, &database) {
                (Flavor::MySql, _) => Question::Ping,
                (Flavor::MariaDb, Some(database)) => Question::InitDb(database),
                (Flavor::MariaDb, None) => {
                    Question::Query(b"SET @@SESSION.session_track_schema=ON")
                }
            });
        }
        if charsets {
            questions.push(Question::Query(CHARSETS));
        }
        if let Some(query) = &locks_query {
            questions.push(Question::Query(query));
        }
        questions.extend(settings.iter().map(|sql| Question::Query(sql)));
        let replies = match connection.ask(&questions).await {
            Ok(replies) => replies,
            Err(error) => {
                tracing::debug!(%error, "a backend connection failed between two statements");
                self.lost_between_statements();
                return;
            }
        };
        self.session.unsettled = Unsettled::default();
        if replies.iter().any(|reply| reply.warnings > 0) {
            connection.traces.diagnostics = Leftover::Present;
        }
        for (question, reply) in questions.iter().zip(replies) {
            let status = match &reply.content {
                Content::Ok(status) => Some(*status),
                _ => None,
            };
            self.reported(&reply.changes, status);
            if matches!(question, Question::Ping) {
                self.owe(&reply.trackers);
            }
            if let Content::Err(error) = &reply.content
                && matches!(question, Question::Query(sql) if sql.starts_with(SET_TO_ITSELF))
                && !NOT_SET.contains(&error.code)
            {
                // It has a value that can't be learnt, so it can't be moved either.
                self.session.pins.put(PinReason::Opaque, Holds::Yes);
            }
            let Content::Rows(answer) = &reply.content else { continue };
            if matches!(question, Question::Query(CHARSETS)) {
                self.charsets_known(&answer.first_row, results);
            } else {
                self.session.pins.locks_known(&answer.first_row);
            }
        }
    }

    /// Keeps the trackers of an answer to Millpond, which sets nothing, for the client: on MySQL, they are
    /// of a failed statement.
    pub(super) fn owe(&mut self, trackers: &[u8]) {
        let tells = self.capabilities.has(Capabilities::SESSION_TRACK)
            && self.session.dialect.flavor == Flavor::MySql;
        if tells && !trackers.is_empty() {
            let owed = self.session.residue.take_owed().unwrap_or_default();
            self.session.residue.owe(Some(Box::from(&with_owed(&owed, trackers)[..])));
        }
    }

    /// Takes in what the reply to a question of Millpond's own reports. Behind a failed statement,
    /// that is what this one changed: it comes with whichever reply is next.
    pub(super) fn reported(&mut self, changes: &Changes, status: Option<Status>) {
        if changes.is_empty() && status.is_none() {
            return;
        }
        if effect::settled(&mut self.session, changes, status) {
            self.environment_follows(changes.schema.is_some());
        }
        if changes.characteristics.is_some()
            && let Some(lease) = &mut self.lease
        {
            lease.connection().traces.next_transaction = need::next_transaction(&self.session);
        }
    }

    /// Asks for character sets that are not known, because a statement is about to be prepared in
    /// them.
    pub(super) async fn settle_charsets(&mut self) {
        if self.session.unsettled.charsets {
            self.settle().await;
        }
    }

    /// Asks only what an error left open, if it did; the last statement's diagnostics stay. What
    /// Millpond says of its own is reported together with that, and not to be told from it: this
    /// comes before.
    pub(super) async fn settle_error(&mut self) {
        if !self.session.unsettled.is_after_error() {
            return;
        }
        let only = Unsettled { after_error: true, ..Unsettled::default() };
        let others = std::mem::replace(&mut self.session.unsettled, only);
        self.settle().await;
        // What was reported now may be of character sets.
        let found = &mut self.session.unsettled;
        found.charsets |= others.charsets;
        found.results |= others.results;
        found.locks |= others.locks;
        if found.settings.is_none() {
            found.settings = others.settings;
        }
    }

    fn charsets_known(&mut self, row: &[Option<Vec<u8>>], results_set: bool) {
        let text = |at: usize| {
            row.get(at)?.as_ref().map(|v| Box::from(String::from_utf8_lossy(v).as_ref()))
        };
        let (Some(client), Some(connection_collation)) = (text(0), text(2)) else { return };
        let environment = Arc::make_mut(&mut self.session.environment);
        let former = environment.separate_charsets.as_ref().map(|s| s.results_collation);
        let results_collation = match former {
            Some(former) if !results_set => former,
            None if !results_set => ResultsCollation::OfNames,
            _ => ResultsCollation::OfCharset,
        };
        let results = text(1);
        let separate =
            SeparateCharsets { client, results, results_collation, connection_collation };
        environment.separate_charsets = Some(separate);
        let wide = Wide::of(environment).is_some();
        self.session.pins.put(PinReason::ResultsCharset, wide.into());
        self.environment_follows(false);
    }

    /// The connection has the session's environment, which has just been corrected; its database, too,
    /// if the server told of that (`schema_told`).
    pub(super) fn environment_follows(&mut self, schema_told: bool) {
        let Some(lease) = &mut self.lease else { return };
        let connection = lease.connection();
        connection.follow(&self.session.environment, schema_told);
        let moment = self.service.moment();
        (connection.entered, self.session.entered) = (moment, moment);
        let version = connection.server.version.clone();
        let baseline = connection.baseline.clone();
        self.session.environment_changed(&version, &baseline);
    }

    /// The connection died while the client was not waiting for an answer: what was on it is
    /// lost; the next statement will be told if that matters.
    pub(super) fn lost_between_statements(&mut self) {
        if let Some(lease) = &self.lease {
            let server = lease.pool().key().server;
            self.service.topology.report(server, Evidence::ConnectionLost);
        }
        self.sever();
        self.session.unsettled = Unsettled::default();
        effect::forget_diagnostics(&mut self.session);
    }

    /// Gives up the backend connection, and with it what the session has there. Who had a transaction
    /// open, or more, is told at the next statement, which is not run.
    pub(super) fn sever(&mut self) {
        self.entry.handle().gives();
        if let Some(lease) = self.lease.take() {
            lease.discard();
        }
        let pins = &self.session.pins;
        self.severed = pins.in_transaction() || pins.beyond_transaction();
        self.session.residue.lost();
    }

    async fn give_back(&mut self) -> Result<(), Stop> {
        if !self.entry.handle().gives() {
            // A KILL meant for this session must not hit the next one.
            self.channel.flush().await?;
            self.entry.handle().kills_settled().await;
        }
        let Some(lease) = self.lease.take() else { return Ok(()) };
        if self.session.residue.is_portable() {
            lease.release();
            return Ok(());
        }
        let pool = lease.pool().clone();
        match pool.deposit(lease, self.session.residue.capture(Some(self.within()))) {
            Ok(deposit) => self.deposit = Some(deposit),
            Err(lease) => {
                // Somebody waits for it: the belongings are fetched now, and it goes on.
                self.lease = Some(lease);
                self.channel.flush().await?;
                self.capture().await;
            }
        }
        Ok(())
    }

    /// Brings here what the session has on its connection, and gives that back; a connection with
    /// more than is carried about stays with the session.
    pub(super) async fn capture(&mut self) {
        self.bring().await;
        if !self.session.residue.is_portable()
            && let Some(lease) = &mut self.lease
        {
            self.entry.handle().took(thread_of(lease));
        } else if let Some(lease) = self.lease.take() {
            lease.release();
        }
    }

    /// Brings here what the session has on its connection, which it keeps. Without a connection after
    /// that, it is lost; with more user variables than are carried about, it is pinned.
    pub(super) async fn bring(&mut self) {
        if self.session.residue.last_values().is_some_and(|values| !values.is_portable()) {
            // The questions depend on whether there is a transaction, and use up what was said of the
            // next one.
            Box::pin(self.settle_error()).await;
        }
        // In a transaction, the session keeps the connection that says its sequences' last values.
        let sequences = Some(self.within()).filter(|within| *within != Within::Session);
        let capture = self.session.residue.capture(sequences);
        let next = self.session.residue.next_transaction.clone();
        let Some(lease) = &mut self.lease else { return };
        let questions: Vec<_> = capture.queries.iter().map(|sql| Question::Query(sql)).collect();
        let Ok(replies) = lease.connection().ask(&questions).await else {
            return self.lost_between_statements();
        };
        for reply in &replies {
            self.reported(&reply.changes, None);
            self.owe(&reply.trackers);
        }
        if capture.asks_sequences() {
            // They have used it up.
            self.session.residue.next_transaction = next;
            self.session.residue.next_transaction_left();
        }
        let Some(lease) = &mut self.lease else { return };
        let Some(answers) = answers(&capture, replies) else { return self.sever() };
        capture.tell(&answers, &mut lease.connection().traces.sequences);
        match self.session.residue.captured(&capture, answers) {
            // What cannot be asked of sequences is asked again later.
            Ok(Captured::All | Captured::NotSequences) => {
                return need::captured(&self.session, &capture, &mut lease.connection().traces);
            }
            Ok(Captured::NotVariables) => {
                return self.session.pins.put(PinReason::UserVariable, Holds::Yes);
            }
            Err(CaptureMismatch) => {}
        }
        self.sever();
    }

    /// Puts Millpond's own trackers back in force after a statement that ran under the client's.
    pub(super) async fn trackers_back(&mut self) {
        let Some(lease) = &mut self.lease else { return };
        let mut questions = vec![Question::Query(TRACKERS)];
        // A tracker that is switched on takes it that nothing was said of the next transaction.
        let next = self.session.residue.next_transaction.as_deref();
        questions.extend(next.iter().flat_map(|next| next.each()).map(Question::Query));
        if lease.connection().ask(&questions).await.is_err() {
            self.lost_between_statements();
        }
    }
}
