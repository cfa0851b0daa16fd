//! The log of statements that took long.

use super::client::Client;
use crate::config::{SlowConfig, SlowText};
use crate::session::mask::{masked, unmasked};
use crate::wire::command::{CommandCode, Query, statement_id};
use std::time::Duration;

impl Client {
    /// Logs a command that has its answer, if it took long.
    pub(super) fn log_if_slow(&mut self, command: &[u8], took: Duration) {
        let SlowConfig { from, text } = self.limits.load().slow;
        if from.is_none_or(|from| took < from) {
            return;
        }
        let dialect = self.session.dialect;
        let statement = self.statement_of(command).map(|sql| match text {
            SlowText::Masked => masked(&sql, &dialect),
            SlowText::Full => unmasked(&sql),
        });
        tracing::warn!(
            service = &*self.service.name,
            user = &*self.user,
            client = self.entry.handle().id,
            seconds = took.as_secs_f64(),
            waited_seconds = Duration::from_micros(self.waited.into()).as_secs_f64(),
            bytes_sent = self.channel.sent,
            command = super::serve::code(command).map(tracing::field::debug),
            statement,
            "slow statement"
        );
    }

    /// The text that a command runs.
    fn statement_of(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        let payload = command.get(1..)?;
        match super::serve::code(command)? {
            CommandCode::Query => {
                Query::parse(payload, self.capabilities).ok().map(|query| query.sql.to_vec())
            }
            CommandCode::StmtPrepare => Some(payload.to_vec()),
            CommandCode::StmtExecute | CommandCode::StmtBulkExecute | CommandCode::StmtFetch => {
                let id = statement_id(payload).ok()?;
                self.session.statements().get_mut(id).map(|known| known.key.sql().to_vec())
            }
            _ => None,
        }
    }
}
