//! What the second reading of a statement hands back.

use super::details::{Action, Limit, Sole};
use super::marks::Marks;

/// What the second reading of one statement found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) marks: Marks,
    pub(super) actions: Vec<Action>,
    pub(super) sole: Option<Sole>,
    pub(super) limit: Option<Limit>,
    pub(super) temporary_settings: Vec<Box<[u8]>>,
    /// A text that the statement runs.
    pub(super) nested: Option<Box<[u8]>>,
}

impl Found {
    /// Notes an action together with its mark.
    pub(super) fn push(&mut self, mark: Marks, action: Action) {
        self.marks |= mark;
        self.actions.push(action);
    }

    /// Notes that the statement was not understood: what it does is not known exactly.
    pub(super) fn unsure(&mut self) {
        self.marks |= Marks::UNCERTAIN;
    }
}
