//! What speaks against a server, and which of its answers can dispel it.

use tokio::time::Instant;

/// Since when something speaks against a server that it has not answered yet.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Doubt {
    /// Something speaks against the server until it is asked at this moment or later.
    pub(super) fn raise(&mut self, until: Instant) {
        self.first.get_or_insert(until);
        self.last = self.last.max(Some(until));
    }

    /// Whether the answer to a question of that moment says something about what speaks against
    /// the server: not if the question is older. What came after the question is still in doubt.
    pub(super) fn answered(&mut self, asked: Instant) -> bool {
        if self.first.is_some_and(|first| asked < first) {
            return false;
        }
        let newer = self.last.filter(|last| *last > asked);
        (self.first, self.last) = (newer, newer);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_answer_from_before_a_doubt_does_not_dispel_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut doubt = Doubt::default();
        assert!(doubt.answered(at(0)));
        doubt.raise(at(5));
        assert!(!doubt.answered(at(4)));
        assert!(doubt.answered(at(5)));
        assert!(doubt.answered(at(5)), "it is dispelled");
    }

    #[test]
    fn doubts_that_go_on_do_not_keep_a_server_from_being_heard() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut doubt = Doubt::default();
        for ms in 10..100 {
            doubt.raise(at(ms));
        }
        assert!(doubt.answered(at(50)));
        assert!(!doubt.answered(at(60)), "what came after the question is still in doubt");
        assert!(doubt.answered(at(99)));
    }
}
