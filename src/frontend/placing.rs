//! Where a binary prepared statement is executed: the connection gets it first, where it has not.

use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::failure::Sent;
use super::run::Placed;
use super::told::Told;
use crate::backend::dialogue::{Content, Question};
use crate::session::align::{Alignment, align};
use crate::session::prepared::{Cursor, StatementKey, environment_to_prepare};
use crate::session::state::same;
use crate::session::statement::Analysis;
use std::sync::Arc;

/// `ER_MAX_PREPARED_STMT_COUNT_REACHED`
const TOO_MANY_STATEMENTS: u16 = 1461;

/// Which of the connection's statements will do for an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Share {
    /// Any of the same key.
    Cached,
    /// One of its own, such as for a cursor.
    Never,
    /// One of this key: the text with answers in it, which hardly any other execution has.
    Instead(Arc<StatementKey>),
}

/// Where an execution runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The server's number of the statement.
    pub(super) backend_id: u32,
    /// Until when it will be needed.
    pub(super) serves: Serves,
}

/// How long the server's statement is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serves {
    /// For other executions, too.
    Again,
    /// For this execution and its cursor.
    Once,
}

impl Client {
    /// Makes sure that the connection has the statement, and tells its number there.
    pub(super) async fn place(
        &mut self,
        id: u32,
        sequence: u8,
        mut share: Share,
    ) -> Result<Option<Place>, Stop> {
        if self.borrow(sequence).await? == Borrowed::No {
            return Ok(None);
        }
        let Some(statement) = self.session.statements().get_mut(id) else { return Ok(None) };
        if let Some(backend_id) = statement.only {
            let left = std::mem::replace(&mut statement.cursor, Cursor::Closed) == Cursor::Left;
            if left
                && let Some(lease) = &mut self.lease
                && lease.connection().ask(&[Question::ResetStatement(backend_id)]).await.is_err()
            {
                return self.connection_failed(sequence, Sent::Nothing).map(|()| None);
            }
            return Ok(Some(Place { backend_id, serves: Serves::Again }));
        }
        let environment = statement.environment.clone();
        let key = match &share {
            Share::Instead(key) => key.clone(),
            Share::Cached | Share::Never => statement.key.clone(),
        };
        // A reset would take the statement with it: it comes before. Nor can a connection that is
        // held by a cursor be reset.
        let analysis = match share {
            Share::Cached => statement.analysis.clone(),
            Share::Never | Share::Instead(_) => Arc::new(Analysis::opaque()),
        };
        if !self.make_fit(&analysis, Placed::Anywhere, sequence).await? {
            return Ok(None);
        }
        let Some(lease) = &mut self.lease else {
            return self.connection_failed(sequence, Sent::Nothing).map(|()| None);
        };
        if share == Share::Cached
            && let Some(found) = lease.connection().statements.get_mut(&key).map(|found| found.id)
        {
            lease.pool().metrics.executions_cached.inc();
            return Ok(Some(Place { backend_id: found, serves: Serves::Again }));
        }
        if !self.session.unsettled.is_settled() {
            // The environment has to be put back exactly.
            self.settle().await;
        }
        // A statement means what it meant in the environment of its preparation.
        let Some(lease) = &mut self.lease else {
            return self.connection_failed(sequence, Sent::Nothing).map(|()| None);
        };
        let connection = lease.connection();
        let mut to_prepare = environment_to_prepare(&self.session.environment, &environment);
        if to_prepare.database.is_none() && !self.session.pins.is_empty() {
            // There is no way to leave the database and keep the connection. Names without a
            // database could not be prepared without one, so this means much the same.
            to_prepare.database.clone_from(&self.session.environment.database);
            if share == Share::Cached {
                share = Share::Never;
            }
        }
        let to_prepare = Arc::new(to_prepare);
        if !same(&connection.environment, &to_prepare) {
            match align(&connection.environment, &to_prepare, &connection.baseline) {
                Alignment::Exact => {}
                Alignment::Replay(steps) => {
                    let session = std::mem::replace(&mut self.session.environment, to_prepare);
                    let restored = self.restore_first(&steps, sequence).await;
                    self.session.environment = session;
                    if !restored? {
                        return Ok(None);
                    }
                }
                Alignment::LoginAgain => {
                    if let Some(lease) = self.lease.take() {
                        lease.discard();
                    }
                    return Box::pin(self.place(id, sequence, share)).await;
                }
            }
        }
        let serves = if share == Share::Cached { Serves::Again } else { Serves::Once };
        let Some(backend_id) = self.prepare_here(&key, sequence, share).await? else {
            return Ok(None);
        };
        Ok(Some(Place { backend_id, serves }))
    }

    async fn prepare_here(
        &mut self,
        key: &Arc<StatementKey>,
        sequence: u8,
        share: Share,
    ) -> Result<Option<u32>, Stop> {
        for attempt in 0..2 {
            let Some(lease) = &mut self.lease else { return Ok(None) };
            let asked = lease.connection().ask(&[Question::Prepare(key.sql())]).await;
            let Ok(replies) = asked else {
                self.connection_failed(sequence, Sent::Nothing)?;
                return Ok(None);
            };
            for reply in replies {
                match reply.content {
                    Content::Prepared { id } => {
                        lease.pool().metrics.executions_prepared.inc();
                        if share == Share::Cached {
                            lease.connection().statements.insert(key.clone(), id);
                        }
                        return Ok(Some(id));
                    }
                    Content::Err(error) if error.code == TOO_MANY_STATEMENTS && attempt == 0 => {
                        let closed = lease.connection().close_some_statements().await;
                        lease.pool().metrics.statements_closed.inc_by(closed.unwrap_or(0) as u64);
                    }
                    Content::Err(error) => {
                        let told = Told::passed_on(error);
                        self.put_error(sequence.wrapping_add(1), &told);
                        return Ok(None);
                    }
                    Content::Ok(_) | Content::Rows(_) => {}
                }
            }
        }
        Ok(None)
    }
}
