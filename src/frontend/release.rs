//! Transactions whose end is the session's, too: the server closes the connection behind its answer.

use super::client::Client;
use crate::session::pin::PinReason;
use crate::session::statement::{Action, AfterEnd, Analysis, Marks, StatementKind};

impl Client {
    /// Whether a statement that worked has ended the session, too.
    pub(super) fn releases(&self, analysis: &Analysis) -> bool {
        const ENDS: [StatementKind; 2] = [StatementKind::Commit, StatementKind::Rollback];
        let by_default = || {
            self.releases_by_default()
                && analysis.kinds().iter().any(|kind| ENDS.contains(kind))
                && !analysis.actions().iter().any(|placed| {
                    matches!(
                        placed.action,
                        Action::RollbackTo(_)
                            | Action::EndTransaction {
                                then: AfterEnd::NoRelease | AfterEnd::ChainNoRelease
                            }
                    )
                })
        };
        analysis.marks.has(Marks::RELEASE_CONNECTION) || by_default()
    }

    /// Whether the loss of the session's connection is likely its own doing: a statement that is not
    /// seen has ended a transaction.
    pub(super) fn has_released_unseen(&self) -> bool {
        let pins = &self.session.pins;
        self.releases_by_default() && (pins.has(PinReason::Impure) || pins.has(PinReason::Opaque))
    }

    fn releases_by_default(&self) -> bool {
        self.session.environment.variables.get("completion_type") == Some(b"RELEASE")
    }
}
