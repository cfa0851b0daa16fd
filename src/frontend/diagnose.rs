//! `GET DIAGNOSTICS` outside stored code.

use super::addition::Rows;
use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::query::put;
use super::run::{Placed, Ran, Request};
use crate::session::answers::{Diagnosed, diagnosed};
use crate::session::residue::Diagnostics;
use crate::session::statement::{Analysis, Diagnosis, StatementItem};
use crate::wire::command::Query;
use crate::wire::exchange::ReplyShape;

impl Client {
    /// Answers with what the session knows of its last statement. False when the server's own
    /// answer is right, or nothing better can be had.
    pub(super) async fn diagnose(
        &mut self,
        query: &Query<'_>,
        analysis: &Analysis,
        sequence: u8,
    ) -> Result<bool, Stop> {
        let Some(wanted) = Diagnosis::parse(query.sql, &self.session.dialect) else {
            return Ok(false);
        };
        if self.borrow(sequence).await? == Borrowed::No
            || !self.make_fit(analysis, Placed::Anywhere, sequence).await?
        {
            return Ok(true);
        }
        if counts_rows(&wanted) && self.session.residue.diagnostics == Diagnostics::OnBackend {
            // What Millpond says on the connection in between changes the server's count.
            self.bring().await;
        }
        match diagnosed(&self.session, &wanted) {
            Diagnosed::Set(sql) => {
                let query = Query { sql: &sql, ..*query };
                let request = Request::new(analysis, ReplyShape::Query, sequence);
                self.run(request, |out, backend| put(out, backend, &query)).await?;
                Ok(true)
            }
            Diagnosed::NoSuchCondition => {
                let earlier = match &self.session.residue.diagnostics {
                    Diagnostics::Captured(captured) => captured.rows.clone(),
                    _ => Rows::new(),
                };
                let request = Request::new(analysis, ReplyShape::Query, sequence);
                let ran = self.run(request, |out, backend| put(out, backend, query)).await?;
                if matches!(&ran, Ran::Answered(outcome) if outcome.warnings > 0) {
                    self.channel.flush().await?;
                    self.bring_diagnostics().await;
                    self.put_in_front(earlier);
                }
                Ok(true)
            }
            Diagnosed::Unknown => Ok(false),
        }
    }
}

fn counts_rows(wanted: &Diagnosis<'_>) -> bool {
    matches!(wanted, Diagnosis::Statement(items)
        if items.iter().any(|(_, item)| *item == StatementItem::RowCount))
}
