//! The last values of MariaDB's sequences: `LASTVAL()`, `PREVIOUS VALUE FOR`.
//!
//! A connection remembers the value that each sequence gave it last; no statement sets that or
//! clears it but a reset (measured). So on a connection that others use, too, a session's own value
//! cannot be put in place, nor another's be taken away. What the connection says is therefore only
//! believed where it is known to be the session's: everything else is answered with what is known
//! here.

use super::lexer::{Lexer, Token, TokenKind, unquoted};
use super::literal::put_identifier;
use super::need::END_TRANSACTION;
use std::collections::BTreeMap;

/// A sequence, as the server resolves its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceName {
    /// The database; empty as long as it is not known which one is meant.
    pub database: Box<[u8]>,
    /// The name.
    pub name: Box<[u8]>,
}

impl SequenceName {
    /// Reads the name that comes next, perhaps with its database; gives also the offset behind it.
    /// What `lexer` has read, if there is no name, is not said.
    pub fn read(lexer: &mut Lexer<'_>) -> Option<(Self, usize)> {
        let part = |lexer: &Lexer<'_>, token: Token| -> Option<Box<[u8]>> {
            matches!(token.kind, TokenKind::Word | TokenKind::Quoted)
                .then(|| unquoted(token.text(lexer.sql())).into_owned().into())
        };
        let token = lexer.next_token();
        let first = part(lexer, token)?;
        let mut ahead = lexer.clone();
        if !ahead.next_token().is(b'.') {
            return Some((Self { database: Box::default(), name: first }, token.end));
        }
        *lexer = ahead;
        let token = lexer.next_token();
        Some((Self { database: first, name: part(lexer, token)? }, token.end))
    }

    /// Whether it is the same name in every character set.
    pub fn is_ascii(&self) -> bool {
        self.database.is_ascii() && self.name.is_ascii()
    }
}

/// What `LASTVAL()` says: `None` is NULL.
pub type Value = Option<i64>;

/// The most sequences whose last values go with a session.
pub const MAX_SEQUENCES: usize = 64;
/// The most sequences of which it is known what a connection says.
const MAX_TRACES: usize = 256;

/// Errors by which the server refuses `LASTVAL()` itself: 1044, 1049, 1142 and 1146 for what may
/// not be used or is not there, 4089 and 4091 for what is no sequence.
const REFUSED: [u16; 6] = [1044, 1049, 1142, 1146, 4089, 4091];

/// The last value of one sequence, in a session that has used it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastValue {
    /// This one.
    Known(i64),
    /// The session's connection says it, unless it still says what it did before.
    OnBackend {
        /// What the connection said before the session's statement.
        before: Value,
        /// What the session had then, which it still has if that statement took no value.
        own: Value,
    },
    /// The connection that said it is gone.
    Lost,
}

/// How a question for a last value is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// As the connection answers it.
    Itself,
    /// By this.
    Value(Value),
    /// By `own`, as long as the connection says `before`; then by what it says.
    Unless {
        /// What somebody else left there.
        before: Value,
        /// What the session has.
        own: Value,
    },
}

/// The last values that a session has.
#[derive(Debug, Clone, Default)]
pub struct LastValues(BTreeMap<SequenceName, LastValue>);

impl LastValues {
    /// What is known of one sequence; `None` if the session never used it.
    pub fn get(&self, name: &SequenceName) -> Option<LastValue> {
        self.0.get(name).copied()
    }

    /// Whether everything is known here.
    pub fn is_portable(&self) -> bool {
        self.on_backend().next().is_none()
    }

    /// Whether there are more than go with a session.
    pub fn are_too_many(&self) -> bool {
        self.0.len() > MAX_SEQUENCES
    }

    /// The sequences whose values only the connection says.
    pub fn on_backend(&self) -> impl Iterator<Item = &SequenceName> {
        let values = self.0.iter();
        values.filter(|(_, last)| matches!(last, LastValue::OnBackend { .. })).map(|(name, _)| name)
    }

    /// A statement took a value, or may have, on the connection of which `traces` tells; `value` is
    /// that value, where it was seen.
    pub fn drawn(&mut self, name: &SequenceName, value: Option<i64>, traces: &mut SequenceTraces) {
        let former = self.get(name);
        let last = match (value, former, traces.says(name)) {
            (Some(value), ..) => LastValue::Known(value),
            (None, Some(last @ LastValue::OnBackend { .. }), _) => last,
            (None, _, Trace::Unknown) => LastValue::Lost,
            (None, former, Trace::Says(before)) => {
                let own = match former {
                    Some(LastValue::Known(value)) => Some(value),
                    _ => None,
                };
                LastValue::OnBackend { before, own }
            }
        };
        // One more than may be carried says that there are too many.
        if former.is_some() || self.0.len() <= MAX_SEQUENCES {
            self.0.insert(name.clone(), last);
        }
        traces.put(name, value.map_or(Trace::Unknown, |value| Trace::Says(Some(value))));
    }

    /// The connection was asked.
    pub fn told(&mut self, name: &SequenceName, told: Told) {
        let Some(LastValue::OnBackend { before, own }) = self.get(name) else { return };
        if told == Told::Nothing {
            // It cannot be asked now, and is still there.
            return;
        }
        let last = match told {
            Told::Value(value) if value == before => own.map(LastValue::Known),
            Told::Value(value) => value.map(LastValue::Known),
            Told::Refused | Told::Nothing => None,
        };
        match last {
            Some(last) => self.0.insert(name.clone(), last),
            None => self.0.remove(name),
        };
    }

    /// The connection is gone.
    pub fn lost(&mut self) {
        for last in self.0.values_mut() {
            if matches!(last, LastValue::OnBackend { .. }) {
                *last = LastValue::Lost;
            }
        }
    }

    /// Sequences were dropped: of new ones of their names, nothing was ever taken.
    pub fn forget(&mut self, dropped: impl Fn(&SequenceName) -> bool) {
        self.0.retain(|name, _| !dropped(name));
    }
}

/// The transaction that a question for a last value would be a part of. As any look at a table, it
/// uses up what was said of the next one (measured).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// None: under autocommit, the question is one by itself. It may wait for a lock as long as
    /// definitions are locked by others that only look at them: up to a second.
    Nothing,
    /// One that it would begin, which has to end behind it: without autocommit.
    ItsOwn,
    /// The session's, which a deadlock would end: it does not wait for locks.
    Session,
}

/// Appends the questions for the last values of these sequences: one for each, since any of them may
/// be gone, and none that waits for long, since any of them may be locked. The server reports what it
/// did for that with a later statement (measured), which is the one behind them.
pub fn put_questions(sequences: &[SequenceName], within: Within, queries: &mut Vec<Vec<u8>>) {
    let seconds = match within {
        Within::Session => b'0',
        Within::Nothing | Within::ItsOwn => b'1',
    };
    for name in sequences {
        let mut sql = b"SET STATEMENT lock_wait_timeout=".to_vec();
        sql.push(seconds);
        sql.extend_from_slice(b" FOR SELECT LASTVAL(");
        put_identifier(&mut sql, &name.database);
        sql.push(b'.');
        put_identifier(&mut sql, &name.name);
        sql.extend_from_slice(b") LIMIT 1");
        queries.push(sql);
    }
    if !sequences.is_empty() {
        queries.push(b"SET @@SESSION.lock_wait_timeout=@@SESSION.lock_wait_timeout".to_vec());
        if within == Within::ItsOwn {
            queries.push(END_TRANSACTION.to_vec());
        }
    }
}

/// How a session answers a question for a sequence's last value on the connection of which `traces`
/// tells.
pub fn says(
    values: Option<&LastValues>,
    name: &SequenceName,
    traces: &SequenceTraces,
    taken: Taken,
) -> Says {
    let own = match values.and_then(|values| values.get(name)) {
        Some(LastValue::Known(value)) => Some(value),
        Some(LastValue::OnBackend { before, own }) if before == own => return Says::Itself,
        Some(LastValue::OnBackend { before, own }) => return Says::Unless { before, own },
        Some(LastValue::Lost) => return Says::Itself,
        None => None,
    };
    match (taken, traces.says(name)) {
        (_, Trace::Says(before)) if before == own => Says::Itself,
        (Taken::No, _) => Says::Value(own),
        (Taken::Perhaps, Trace::Says(before)) => Says::Unless { before, own },
        (Taken::Perhaps, Trace::Unknown) => Says::Itself,
    }
}

/// Whether a value may be taken before the question is answered, without notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is not.
    No,
    /// By the same text, or by stored code before it.
    Perhaps,
}

/// What a connection said when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// This.
    Value(Value),
    /// That the session may not ask, or that there is no such sequence.
    Refused,
    /// Nothing of use.
    Nothing,
}

impl Told {
    /// What the server refused with this error.
    pub fn error(code: u16) -> Self {
        if REFUSED.contains(&code) { Self::Refused } else { Self::Nothing }
    }
}

/// What a connection says of one sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// This.
    Says(Value),
    /// Some value that was never asked for.
    Unknown,
}

/// What a connection says of the sequences that its users have used.
#[derive(Debug, Clone, Default)]
pub struct SequenceTraces {
    says: BTreeMap<SequenceName, Trace>,
    /// There are more than are remembered.
    too_many: bool,
}

impl SequenceTraces {
    /// What it says of this sequence.
    pub fn says(&self, name: &SequenceName) -> Trace {
        match self.says.get(name) {
            Some(trace) => *trace,
            None if self.too_many => Trace::Unknown,
            None => Trace::Says(None),
        }
    }

    /// It says this from now on.
    pub fn put(&mut self, name: &SequenceName, trace: Trace) {
        let many = self.says.len() >= MAX_TRACES;
        match self.says.get_mut(name) {
            Some(known) => *known = trace,
            None if many => self.too_many = true,
            None => drop(self.says.insert(name.clone(), trace)),
        }
    }

    /// It was asked.
    pub fn told(&mut self, name: &SequenceName, told: Told) {
        match told {
            Told::Value(value) => self.put(name, Trace::Says(value)),
            Told::Refused => self.put(name, Trace::Says(None)),
            Told::Nothing => {}
        }
    }

    /// Whether it says anything that is not this session's.
    pub fn has_foreign(&self, own: Option<&LastValues>) -> bool {
        self.too_many
            || self.says.iter().any(|(name, trace)| {
                match (trace, own.and_then(|own| own.get(name))) {
                    (_, Some(LastValue::OnBackend { before, own })) => before != own,
                    (Trace::Says(said), Some(LastValue::Known(value))) => *said != Some(value),
                    (Trace::Says(said), _) => said.is_some(),
                    (Trace::Unknown, _) => true,
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> SequenceName {
        SequenceName { database: b"d"[..].into(), name: b"s"[..].into() }
    }

    fn answer(values: &LastValues, traces: &SequenceTraces) -> Says {
        says(Some(values), &name(), traces, Taken::No)
    }

    #[test]
    fn what_another_session_left_is_never_ones_own() {
        let (mut first, mut second) = (LastValues::default(), LastValues::default());
        let mut traces = SequenceTraces::default();
        first.drawn(&name(), Some(5), &mut traces);
        assert!(first.is_portable());
        assert_eq!(answer(&second, &traces), Says::Value(None));
        // A statement that may have taken a value.
        second.drawn(&name(), None, &mut traces);
        assert_eq!(answer(&second, &traces), Says::Unless { before: Some(5), own: None });
        let mut taken = second.clone();
        second.told(&name(), Told::Value(Some(5)));
        assert_eq!(answer(&second, &traces), Says::Value(None));
        taken.told(&name(), Told::Value(Some(6)));
        assert_eq!(taken.get(&name()), Some(LastValue::Known(6)));
        // The first still has its own.
        traces.told(&name(), Told::Value(Some(6)));
        assert_eq!(answer(&first, &traces), Says::Value(Some(5)));
        assert_eq!(answer(&taken, &traces), Says::Itself);
    }

    #[test]
    fn a_value_that_was_not_taken_leaves_the_one_before() {
        let mut values = LastValues::default();
        values.drawn(&name(), Some(5), &mut SequenceTraces::default());
        let mut traces = SequenceTraces::default();
        values.drawn(&name(), None, &mut traces);
        assert_eq!(answer(&values, &traces), Says::Unless { before: None, own: Some(5) });
        values.told(&name(), Told::Value(None));
        assert_eq!(values.get(&name()), Some(LastValue::Known(5)));
    }

    #[test]
    fn what_was_never_asked_for_is_foreign_and_does_not_become_ones_own() {
        let mut traces = SequenceTraces::default();
        let mut gone = LastValues::default();
        gone.drawn(&name(), None, &mut traces);
        assert!(!traces.has_foreign(Some(&gone)));
        assert!(traces.has_foreign(None));
        let mut values = LastValues::default();
        values.drawn(&name(), None, &mut traces);
        assert_eq!(values.get(&name()), Some(LastValue::Lost));
    }

    #[test]
    fn names_do_not_pile_up() {
        let (mut values, mut traces) = (LastValues::default(), SequenceTraces::default());
        for number in 0..1000 {
            let name = SequenceName { name: number.to_string().into_bytes().into(), ..name() };
            values.drawn(&name, None, &mut traces);
        }
        assert!(values.are_too_many());
        assert_eq!((values.0.len(), traces.says.len()), (MAX_SEQUENCES + 1, MAX_TRACES));
        assert_eq!(traces.says(&name()), Trace::Unknown);
    }
}
