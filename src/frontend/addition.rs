//! What adds to the diagnostics of the last statement. On MySQL, what commands that are no statements
//! have to warn of, and the errors that they end with, come after those, which stay (measured).

use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::query::put;
use super::run::{Placed, Ran, Request};
use super::told::Told;
use crate::backend::dialogue::{Content, Question};
use crate::session::effect::RESIGNAL_WITHOUT_ACTIVE_HANDLER;
use crate::session::residue::{Counts, Diagnostics};
use crate::session::server::Flavor;
use crate::session::statement::Analysis;
use crate::wire::command::{Query, put_parts};
use crate::wire::exchange::ReplyShape;

/// Rows of `SHOW WARNINGS`, as the server sent them.
pub(super) type Rows = Vec<Box<[u8]>>;

impl Client {
    /// Answers a command with an error without asking the server.
    pub(super) async fn refuse(&mut self, told: &Told, sequence: u8) -> Result<(), Stop> {
        let Some(earlier) = self.diagnostics_so_far(sequence).await? else { return Ok(()) };
        let counted = self.session.counted;
        self.put_error(sequence.wrapping_add(1), told);
        if self.session.dialect.flavor == Flavor::MySql {
            self.put_in_front(earlier);
            self.session.counted = counted.plus(Counts::ERROR);
        }
        Ok(())
    }

    /// `COM_FIELD_LIST`, about which MySQL warns.
    pub(super) async fn field_list(&mut self, command: &[u8], sequence: u8) -> Result<(), Stop> {
        self.add(command, &Analysis::default(), ReplyShape::FieldList, sequence).await
    }

    /// `COM_INIT_DB`
    pub(super) async fn init_db(&mut self, command: &[u8], sequence: u8) -> Result<(), Stop> {
        self.add(command, &Analysis::enters(), ReplyShape::Ok, sequence).await
    }

    /// Runs a command that adds to the last statement's diagnostics, but on MariaDB, where an error
    /// replaces them.
    async fn add(
        &mut self,
        command: &[u8],
        analysis: &Analysis,
        shape: ReplyShape,
        sequence: u8,
    ) -> Result<(), Stop> {
        if self.borrow(sequence).await? == Borrowed::No {
            return Ok(());
        }
        let before = self.session.residue.diagnostics.clone();
        let counted = self.session.counted;
        let request = Request::new(analysis, shape, sequence);
        let ran = self.run(request, |out, _| put_parts(out, &[command])).await?;
        let Ran::Answered(outcome) = ran else { return Ok(()) };
        let warned = shape == ReplyShape::FieldList;
        match self.session.dialect.flavor {
            Flavor::MariaDb if outcome.error.is_some() => return Ok(()),
            Flavor::MySql if outcome.error.is_some() || warned => {
                let failed = outcome.error.is_some();
                self.session.counted = if failed {
                    counted.plus(Counts::ERROR)
                } else {
                    Counts { conditions: outcome.warnings, ..counted }
                };
                self.session.residue.diagnostics = Diagnostics::OnBackend;
                if let Diagnostics::Captured(earlier) = before {
                    self.channel.flush().await?;
                    self.bring_diagnostics().await;
                    self.put_in_front(earlier.rows);
                }
            }
            Flavor::MariaDb | Flavor::MySql => {
                self.session.residue.diagnostics = before;
                self.session.counted = counted;
            }
        }
        Ok(())
    }

    /// `RESIGNAL` outside stored code: the error that says so comes behind the last statement's
    /// diagnostics (measured on both servers).
    pub(super) async fn resignal(
        &mut self,
        query: &Query<'_>,
        analysis: &Analysis,
        sequence: u8,
    ) -> Result<(), Stop> {
        if self.borrow(sequence).await? == Borrowed::No
            || !self.make_fit(analysis, Placed::Anywhere, sequence).await?
        {
            return Ok(());
        }
        if self.session.residue.diagnostics == Diagnostics::OnBackend
            && !self.restores(analysis).is_empty()
        {
            // What would be put in front of the statement clears them.
            self.bring().await;
        }
        let before = self.session.residue.diagnostics.clone();
        let request = Request::new(analysis, ReplyShape::Query, sequence);
        let ran = self.run(request, |out, backend| put(out, backend, query)).await?;
        if let Ran::Answered(outcome) = ran
            && outcome.error == Some(RESIGNAL_WITHOUT_ACTIVE_HANDLER)
            && let Diagnostics::Captured(earlier) = before
        {
            self.channel.flush().await?;
            self.bring_diagnostics().await;
            self.put_in_front(earlier.rows);
        }
        Ok(())
    }

    /// What stays of the last statement's diagnostics; `None` when the client has been told that
    /// they cannot be had.
    async fn diagnostics_so_far(&mut self, sequence: u8) -> Result<Option<Rows>, Stop> {
        if self.session.dialect.flavor != Flavor::MySql {
            return Ok(Some(Rows::new()));
        }
        if self.session.residue.diagnostics == Diagnostics::OnBackend {
            if self.borrow(sequence).await? == Borrowed::No {
                return Ok(None);
            }
            self.bring_diagnostics().await;
        }
        Ok(Some(match &self.session.residue.diagnostics {
            Diagnostics::Captured(result) => result.rows.clone(),
            Diagnostics::None | Diagnostics::OnBackend | Diagnostics::Lost => Rows::new(),
        }))
    }

    /// Asks the session's connection for its diagnostics, which does not clear them there.
    pub(super) async fn bring_diagnostics(&mut self) {
        if self.session.residue.diagnostics != Diagnostics::OnBackend {
            return;
        }
        let Some(lease) = &mut self.lease else { return };
        let asked = lease.connection().ask(&[Question::Query(b"SHOW WARNINGS")]).await;
        let Ok(replies) = asked else { return self.lost_between_statements() };
        for reply in replies {
            self.reported(&reply.changes, None);
            self.owe(&reply.trackers);
            if let Content::Rows(answer) = reply.content {
                self.session.residue.diagnostics = Diagnostics::Captured(Box::new(answer.result));
            }
        }
    }

    pub(super) fn put_in_front(&mut self, mut earlier: Rows) {
        let most = self.session.kept_conditions();
        if let Diagnostics::Captured(result) = &mut self.session.residue.diagnostics {
            earlier.append(&mut result.rows);
            earlier.truncate(most);
            result.rows = earlier;
        }
    }
}
