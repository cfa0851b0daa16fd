//! Keeps the catalogue of stored code fresh, and what is known of global values.

use super::globals;
use super::reader::Reader;
use super::service::Service;
use crate::backend::connection::{Connection, StateError};
use crate::backend::dialogue::{Content, Question, rows};
use crate::backend::limits::unlimited_select;
use crate::config::HiddenTriggers;
use crate::net::link::LinkError;
use crate::pool::Pool;
use crate::pool::lease::Lease;
use crate::session::catalogue::{Body, Builder, Catalogue, Coverage, RoutineKind};
use crate::session::model::Session;
use crate::session::server::Flavor;
use crate::session::statement::{Analysis, Dialect};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How often the catalogue is read anew without a reason: stored code may change behind
/// Millpond's back.
const PERIOD: Duration = Duration::from_secs(30);
/// How long one reading may take.
const LIMIT: Duration = Duration::from_secs(15);

/// What is asked for, each behind the word `SELECT`.
const ROUTINES: &str = "ROUTINE_TYPE, ROUTINE_NAME, ROUTINE_DEFINITION, SQL_MODE, \
ROUTINE_BODY, ROUTINE_SCHEMA FROM information_schema.ROUTINES";
const TRIGGERS: &str = "'TRIGGER', EVENT_OBJECT_TABLE, ACTION_STATEMENT, SQL_MODE, 'SQL', \
TRIGGER_SCHEMA FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA NOT IN ('sys','mysql')";
const VIEWS: &str = "'VIEW', TABLE_NAME, VIEW_DEFINITION, '', 'SQL', TABLE_SCHEMA \
FROM information_schema.VIEWS WHERE TABLE_SCHEMA NOT IN ('sys','mysql')";

/// Whether there are sequences. MySQL does not know any.
const NO_SEQUENCES: &str = "1 FROM DUAL WHERE 0";
const SEQUENCES: &str = "1 FROM information_schema.TABLES \
WHERE TABLE_TYPE IN ('SEQUENCE', 'TEMPORARY SEQUENCE')";

/// Where there are, columns may have their values by default. Each table is opened for that.
const DEFAULTS: &str = "'DEFAULT', TABLE_NAME, COLUMN_DEFAULT, '', 'SQL', TABLE_SCHEMA \
FROM information_schema.COLUMNS \
WHERE COLUMN_DEFAULT LIKE '%nextval(%' OR COLUMN_DEFAULT LIKE '%lastval(%'";

/// Not everybody is shown a table's triggers.
const GRANTS: &[u8] = b"SHOW GRANTS";

/// Under the `autocommit=0` of a former session, the reading begins a transaction: its view of the data
/// would be the next session's, and so its locks.
pub(super) const END: &[u8] = b"ROLLBACK AND NO CHAIN NO RELEASE";

/// Reads the catalogue through this connection. Triggers that it cannot show may do anything, or are
/// trusted.
///
/// Not cancel safe, as [`Connection::ask`].
///
/// # Errors
///
/// When the connection fails.
pub async fn read(
    connection: &mut Connection,
    hidden: HiddenTriggers,
) -> Result<Catalogue, LinkError> {
    if !connection.is_as_at_login() {
        // Under a former session's role and settings, less may be shown, or in other words.
        connection.reset().await.map_err(|error| match error {
            StateError::Link(error) => error,
            StateError::Refused(_) => LinkError::Closed,
        })?;
    }
    let dialect = Dialect::new(&connection.server.version, b"", "utf8mb4");
    let mut builder = Builder::new(&dialect);
    let sequences = match dialect.flavor {
        Flavor::MariaDb => SEQUENCES,
        Flavor::MySql => NO_SEQUENCES,
    };
    let whole = |select: &str| unlimited_select(select, dialect.flavor);
    let selects = [ROUTINES, TRIGGERS, VIEWS, sequences].map(whole);
    let asked = selects.iter().map(|select| Question::Query(select.as_bytes()));
    let questions: Vec<_> = asked.chain([Question::Query(GRANTS)]).collect();
    let mut replies = connection.ask(&questions).await?;
    if let (Some(reply), HiddenTriggers::Pin) = (replies.pop(), hidden) {
        builder.triggers_of(coverage(&reply.content, dialect.flavor)?);
    }
    let has_sequences = match replies.pop().map(|reply| reply.content) {
        Some(Content::Rows(answer)) => !answer.result.rows.is_empty(),
        _ => true,
    };
    if has_sequences {
        builder.sequences_exist();
        let defaults = whole(DEFAULTS);
        replies.extend(connection.ask(&[Question::Query(defaults.as_bytes())]).await?);
    }
    let ended = connection.ask(&[Question::Query(END)]).await?;
    if !ended.iter().all(|reply| matches!(reply.content, Content::Ok(_))) {
        return Err(LinkError::Closed);
    }
    for reply in replies {
        // What was not answered is not known: a list with a part missing would call it harmless.
        let Content::Rows(answer) = reply.content else { return Ok(Catalogue::default()) };
        for row in rows(&answer.result)? {
            let [Some(kind), Some(name), text, sql_mode, language, Some(database)] = row[..] else {
                continue;
            };
            builder.database(database);
            let body = match (text, language) {
                (Some(text), Some(b"SQL")) if !text.is_empty() => {
                    Body::Sql { text, sql_mode: sql_mode.unwrap_or_default() }
                }
                (_, Some(b"SQL")) => Body::Hidden,
                _ => Body::Foreign,
            };
            match kind {
                b"FUNCTION" => builder.routine(name, RoutineKind::Function, body),
                b"TRIGGER" => builder.trigger(name, body),
                b"DEFAULT" => builder.default_of(name, text.unwrap_or_default()),
                b"VIEW" => builder.view(name, text.unwrap_or_default()),
                b"PACKAGE BODY" => builder.routine(name, RoutineKind::Package, body),
                _ => builder.routine(name, RoutineKind::Procedure, body),
            }
        }
    }
    Ok(builder.build())
}

/// The answer to [`GRANTS`]; one that is none shows nothing.
fn coverage(content: &Content, flavor: Flavor) -> Result<Coverage, LinkError> {
    let Content::Rows(answer) = content else { return Ok(Coverage::default()) };
    let rows = rows(&answer.result)?;
    let lines = rows.iter().filter_map(|row| row.first().copied().flatten());
    Ok(Coverage::from_grants(lines, flavor))
}

impl Service {
    /// Whether a statement changes rows of tables whose triggers are not known. It then counts as one
    /// that may do anything.
    pub(super) fn may_fire_hidden(
        &self,
        catalogue: &Catalogue,
        analysis: &Analysis,
        session: &Session,
    ) -> bool {
        let database = session.environment.database.as_deref();
        if !analysis.may_fire_hidden(catalogue.triggers(), database) {
            return false;
        }
        self.metrics.hidden_triggers.inc();
        if !self.told_of_hidden_triggers.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                service = &*self.name,
                database = %String::from_utf8_lossy(database.unwrap_or_default()),
                "rows are changed in tables whose triggers monitor_user may not see: sessions keep \
                 their connections after such statements. Grant it TRIGGER there, or say \
                 backend.hidden_triggers = \"trust\" if there are none"
            );
        }
        true
    }

    /// Reads the catalogue anew. Says whether that succeeded.
    pub async fn refresh_catalogue(&self, pool: &Arc<Pool>) -> bool {
        let now = Instant::now();
        let hidden = self.limits().hidden_triggers;
        let mut lease = match pool.acquire(now, now + LIMIT).await {
            Ok(lease) => lease,
            Err(error) => {
                tracing::debug!(service = &*self.name, %error, "the catalogue was not read");
                return false;
            }
        };
        let reading = async {
            let connection = lease.connection();
            let catalogue = read(connection, hidden).await?;
            Ok::<_, LinkError>((catalogue, globals::read(connection).await?))
        };
        match timeout(LIMIT, reading).await {
            Ok(Ok((catalogue, globals))) => {
                let impure = catalogue.impure_count();
                if *self.reader.load().catalogue() != catalogue {
                    tracing::info!(service = &*self.name, impure, "stored code was read");
                    self.reader.store(Arc::new(Reader::new(catalogue)));
                }
                let id = pool.key().server;
                if globals.is_some_and(|now| self.globals.have_changed(id, now)) {
                    return self.begin_with_new_globals(lease, pool).await;
                }
                let connection = lease.connection();
                let (server, baseline) = (connection.server.clone(), connection.baseline.clone());
                lease.release();
                self.learn(server, baseline);
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(service = &*self.name, %error, "the catalogue was not read");
                lease.discard();
                false
            }
            Err(_) => {
                lease.discard();
                false
            }
        }
    }

    /// Sessions that begin from now on are for connections that know what was set on the server.
    async fn begin_with_new_globals(&self, lease: Lease, pool: &Arc<Pool>) -> bool {
        tracing::info!(service = &*self.name, "global values were changed on the server");
        let server = pool.key().server;
        for pool in self.pools().iter().filter(|pool| pool.key().server == server) {
            pool.renew();
        }
        lease.release();
        Box::pin(self.refresh_catalogue(pool)).await
    }

    async fn refresh_from_writer(&self, user: &Arc<str>) -> bool {
        if self.topology.sleep.is_asleep() {
            return false;
        }
        match self.writer_pool(user) {
            Some(pool) => self.refresh_catalogue(&pool).await,
            None => false,
        }
    }

    /// Learns what the server is, then keeps the catalogue fresh until the process stops. Logs in
    /// as `user`.
    pub async fn keep_catalogue(self: Arc<Self>, user: Arc<str>) {
        let mut pause = Duration::from_millis(50);
        let stopping = self.tasks.stop_signal().clone();
        while !self.refresh_from_writer(&user).await {
            tracing::warn!(service = &*self.name, "waiting for the database");
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(Duration::from_secs(2));
        }
        tracing::info!(service = &*self.name, "the database is known");
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.catalogue_stale.notified() => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
            self.refresh_from_writer(&user).await;
        }
    }
}
