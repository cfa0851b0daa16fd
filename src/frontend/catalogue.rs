//! Keeps the catalogue of stored code fresh.

use super::service::Service;
use crate::backend::connection::Connection;
use crate::backend::dialogue::{Content, Question, rows};
use crate::net::link::LinkError;
use crate::pool::Pool;
use crate::session::catalogue::{Catalogue, CodeKind, StoredCode};
use crate::session::statement::Dialect;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How often the catalogue is read anew without a reason: stored code may change behind
/// Millpond's back.
const PERIOD: Duration = Duration::from_secs(30);
/// How long one reading may take.
const LIMIT: Duration = Duration::from_secs(5);

const ROUTINES: &[u8] = b"SELECT ROUTINE_TYPE, ROUTINE_NAME, ROUTINE_DEFINITION \
FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA NOT IN \
('sys','mysql','information_schema','performance_schema')";
const TRIGGERS: &[u8] = b"SELECT 'TRIGGER', EVENT_OBJECT_TABLE, ACTION_STATEMENT \
FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA NOT IN ('sys','mysql')";
const VIEWS: &[u8] = b"SELECT 'VIEW', TABLE_NAME, VIEW_DEFINITION \
FROM information_schema.VIEWS WHERE TABLE_SCHEMA NOT IN ('sys','mysql')";

/// Reads the catalogue through this connection.
///
/// Not cancel safe, as [`Connection::ask`].
///
/// # Errors
///
/// When the connection fails.
pub async fn read(connection: &mut Connection) -> Result<Catalogue, LinkError> {
    let questions = [Question::Query(ROUTINES), Question::Query(TRIGGERS), Question::Query(VIEWS)];
    let mut code = Vec::new();
    for reply in connection.ask(&questions).await? {
        let Content::Rows(answer) = reply.content else { continue };
        for row in rows(&answer.result)? {
            let [Some(kind), Some(name), body] = row[..] else { continue };
            let kind = match kind {
                b"FUNCTION" => CodeKind::Function,
                b"TRIGGER" => CodeKind::Trigger,
                b"VIEW" => CodeKind::View,
                _ => CodeKind::Procedure,
            };
            // A view whose text is not shown is an empty string.
            let body = body.filter(|body| !body.is_empty()).map(<[u8]>::to_vec);
            code.push(StoredCode { kind, name: name.to_vec(), body });
        }
    }
    let dialect = Dialect::new(&connection.server.version, b"", "utf8mb4");
    Ok(Catalogue::new(&code, &dialect))
}

impl Service {
    /// Reads the catalogue anew. Says whether that succeeded.
    pub async fn refresh_catalogue(&self, pool: &Arc<Pool>) -> bool {
        let deadline = Instant::now() + LIMIT;
        let mut lease = match pool.acquire(deadline).await {
            Ok(lease) => lease,
            Err(error) => {
                tracing::debug!(service = &*self.name, %error, "the catalogue was not read");
                return false;
            }
        };
        match timeout(LIMIT, read(lease.connection())).await {
            Ok(Ok(catalogue)) => {
                let impure = catalogue.impure_count();
                if **self.catalogue.load() != catalogue {
                    tracing::info!(service = &*self.name, impure, "stored code was read");
                    self.catalogue.store(Arc::new(catalogue));
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

    /// Learns what the server is, then keeps the catalogue fresh until the process stops.
    pub async fn keep_catalogue(self: Arc<Self>, pool: Arc<Pool>) {
        let mut pause = Duration::from_millis(50);
        let stopping = self.tasks.stop_signal().clone();
        while !self.refresh_catalogue(&pool).await {
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
            self.refresh_catalogue(&pool).await;
        }
    }
}
