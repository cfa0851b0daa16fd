//! Where a binary prepared statement is executed: the connection gets it first, where it has not.

use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::failure::Sent;
use super::restore::Adopted;
use super::run::Placed;
use super::typing::Typing;
use crate::backend::dialogue::{Content, Question};
use crate::session::prepared::{Cursor, StatementKey};
use crate::session::server::Flavor;
use crate::session::state::Environment;
use crate::session::statement::Analysis;
use crate::wire::reply::{Tracker, put_tracker};
use bytes::BytesMut;
use std::sync::Arc;

/// Which of the connection's statements will do for an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Share {
    /// Any of the same key.
    Cached,
    /// One of its own, such as for a cursor.
    Never,
    /// Any of this key: the text with an answer in it that is the same for the whole session. MySQL
    /// keeps the types that parameters had at first, so the next execution has to find it.
    CachedAs(Arc<StatementKey>),
    /// One of this key: the text with answers in it, which hardly any other execution has.
    Instead(Arc<StatementKey>),
}

impl Share {
    /// Whether the connection keeps the statement for others, too.
    fn is_cached(&self) -> bool {
        matches!(self, Self::Cached | Self::CachedAs(_))
    }
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
        typing: &Typing,
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
        let own = statement.analysis.clone();
        let key = match &share {
            Share::Instead(key) | Share::CachedAs(key) => key.clone(),
            Share::Cached | Share::Never => statement.key.clone(),
        };
        // A reset would take the statement with it: it comes before. Nor can a connection that is
        // held by a cursor be reset.
        let analysis = match share {
            Share::Cached | Share::CachedAs(_) => statement.analysis.clone(),
            Share::Never | Share::Instead(_) => Arc::new(Analysis::opaque()),
        };
        if !self.make_fit(&analysis, Placed::Anywhere, sequence).await? {
            return Ok(None);
        }
        let Some(lease) = &mut self.lease else {
            return self.connection_failed(sequence, Sent::Nothing).map(|()| None);
        };
        if share.is_cached()
            && let Some(backend_id) = typing.find(&mut lease.connection().statements, &key)
        {
            lease.pool().metrics.executions_cached.inc();
            return Ok(Some(Place { backend_id, serves: Serves::Again }));
        }
        match self.adopt(&environment, sequence).await? {
            Adopted::Exactly => {}
            Adopted::ButDatabase => {
                if share.is_cached() {
                    share = Share::Never;
                }
            }
            Adopted::Elsewhere => return Box::pin(self.place(id, sequence, share, typing)).await,
            Adopted::Not => return Ok(None),
        }
        let asked = self.ask_to_prepare(Question::Prepare(key.sql()), None, sequence).await?;
        let Some(Content::Prepared { id: backend_id }) = asked else {
            self.owe_return(&environment);
            return Ok(None);
        };
        let mut settled = true;
        if !typing.is_fresh() {
            let settling = self.settle_types(backend_id, &own, typing, &environment, sequence);
            let Some(done) = settling.await? else { return Ok(None) };
            settled = done;
        }
        if !(share.is_cached() && settled) {
            return Ok(Some(Place { backend_id, serves: Serves::Once }));
        }
        if let Some(lease) = &mut self.lease {
            typing.insert(&mut lease.connection().statements, &key, backend_id);
        }
        Ok(Some(Place { backend_id, serves: Serves::Again }))
    }

    /// A client's statement could not be prepared here, as it once was. MySQL would have failed to
    /// execute it, in its own database, and told of the return to the current one with the next OK
    /// (measured).
    fn owe_return(&mut self, prepared_in: &Environment) {
        let Some(database) = self.session.environment.database.clone() else { return };
        let elsewhere =
            prepared_in.database.as_ref().is_some_and(|prepared_in| *prepared_in != database);
        if elsewhere && !self.is_unfinished() && self.lease.is_some() {
            let mut trackers = BytesMut::new();
            put_tracker(&mut trackers, &Tracker::Schema(&database));
            self.owe(&trackers);
        }
    }

    /// An execution has failed. If the statement was prepared in another database, MySQL has returned from
    /// there and tells so with its next OK (measured), which is to be this client's.
    pub(super) fn returned_unreported(&mut self, id: u32) {
        let current = self.session.environment.database.clone();
        let statement = self.session.statements().get_mut(id);
        let prepared_in = statement.and_then(|statement| statement.environment.database.clone());
        let elsewhere = prepared_in.is_some() && prepared_in != current;
        if elsewhere && self.session.dialect.flavor == Flavor::MySql {
            self.session.unsettled.unreported = true;
        }
    }
}
