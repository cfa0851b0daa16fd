//! The types that MySQL keeps for the parameters of a prepared statement.
//!
//! From 8.0.22 on, a preparation gives each parameter a type, and an execution whose values do not
//! fit those types makes the server prepare the statement once more, with the types of its values.
//! These stay: `SELECT ?` that was executed with a number makes a number of every text that follows
//! (measured; `check_parameter_types` and `Item_param::convert_value` in the server's sources).
//! So what an execution gives depends on those before it, and two backend statements of the same
//! text are the same only when their [`Settled`] types are. MariaDB looks at the types of every
//! execution anew.

mod given;

pub use self::given::{Given, Reads, put_execute};

use super::prepared::Otherwise;
use std::sync::Arc;

/// More executions with ever other types than these are not told apart.
const MAX_STEPS: usize = 6;

/// What the server takes a parameter for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `BIGINT`
    Signed,
    /// `BIGINT UNSIGNED`
    Unsigned,
    /// `DECIMAL`
    Decimal,
    /// `DOUBLE`
    Double,
    /// `DATE`
    Date,
    /// `TIME`
    Time,
    /// `DATETIME`
    DateTime,
    /// Any kind of text.
    Text,
    /// `VECTOR`, which takes the bytes of one.
    Vector,
    /// Nobody knows, or one whose rules are not known.
    Unknown,
}

/// Whether the server executes a statement as it is with a value for one of its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fits {
    Yes,
    /// It prepares the statement again.
    No,
    Perhaps,
}

impl Type {
    /// What the definition of a parameter says, in the reply to a preparation.
    pub fn of_definition(kind: u8, is_unsigned: bool) -> Self {
        match kind {
            1 | 2 | 3 | 8 | 9 if is_unsigned => Self::Unsigned,
            1 | 2 | 3 | 8 | 9 => Self::Signed,
            0 | 246 => Self::Decimal,
            4 | 5 => Self::Double,
            7 | 12 => Self::DateTime,
            10 => Self::Date,
            11 => Self::Time,
            15 | 245 | 249..=254 => Self::Text,
            242 => Self::Vector,
            _ => Self::Unknown,
        }
    }

    fn fits(self, given: Given) -> Fits {
        use Fits::{No, Perhaps, Yes};
        use Given as G;
        if given == G::Null {
            return Yes;
        }
        match (self, given) {
            (Self::Text | Self::Vector, G::Text(_) | G::Binary(_)) => Yes,
            (Self::Unknown | Self::Vector, _) => Perhaps,
            (Self::Text, _) => No,
            (_, G::Text(reads) | G::Binary(reads)) => self.fits_text(reads),
            (Self::Signed, G::Signed) | (Self::Unsigned, G::Unsigned) => Yes,
            (Self::Signed | Self::Unsigned, _) => No,
            (Self::Decimal, G::Signed | G::Unsigned | G::Decimal) => Yes,
            (Self::Decimal, _) => No,
            (Self::Double, G::Signed | G::Unsigned | G::Decimal | G::Double) => Yes,
            (Self::Double, _) => No,
            (Self::Date, G::Date) => Yes,
            (Self::Date, G::DateTime | G::Time) => No,
            // The number may be that of a moment.
            (Self::Date, _) => Perhaps,
            (Self::Time, G::Date) => No,
            (Self::Time | Self::DateTime, _) => Yes,
        }
    }

    /// A text that a number or a moment is expected of is taken for what it reads like; one that reads
    /// like nothing stays a text, which is always taken.
    fn fits_text(self, reads: Reads) -> Fits {
        match (self, reads) {
            (_, Reads::Other) => Fits::Perhaps,
            (_, Reads::Word) => Fits::Yes,
            (Self::Signed | Self::Unsigned, Reads::Number) => Fits::No,
            (Self::Signed | Self::Unsigned | Self::Decimal | Self::Double, _)
            | (Self::DateTime, Reads::Date | Reads::DateTime)
            | (Self::Date, Reads::Date) => Fits::Yes,
            (Self::Date, Reads::DateTime) => Fits::No,
            _ => Fits::Perhaps,
        }
    }

    /// What it is after a preparation with this value.
    fn after(self, given: Given) -> Self {
        match given {
            // Again what its context makes of it, which may be another by now.
            Given::Null => Self::Unknown,
            Given::Signed => Self::Signed,
            Given::Unsigned => Self::Unsigned,
            Given::Double => Self::Double,
            Given::Decimal => Self::Decimal,
            Given::Date => Self::Date,
            Given::Time => Self::Time,
            Given::DateTime => Self::DateTime,
            Given::Text(reads) | Given::Binary(reads) => match (self, reads) {
                (Self::Text | Self::Vector, _) => Self::Text,
                (Self::Unknown, _) | (_, Reads::Other) => Self::Unknown,
                (_, Reads::Word) => Self::Text,
                (Self::Signed | Self::Unsigned, Reads::Digits) => self,
                (Self::Signed | Self::Unsigned, Reads::Number) => Self::Decimal,
                (Self::Decimal | Self::Double, Reads::Digits | Reads::Number) => self,
                (Self::Date | Self::DateTime, Reads::Date) => Self::Date,
                (Self::Date | Self::DateTime, Reads::DateTime) => Self::DateTime,
                _ => Self::Unknown,
            },
        }
    }
}

/// An execution for which the server prepared the statement again, or may have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    given: Box<[Given]>,
    /// What decided how the text was read then, if it was not what did so at first.
    environment: Option<Arc<Otherwise>>,
}

impl Step {
    /// What the parameters were given.
    pub fn given(&self) -> &[Given] {
        &self.given
    }

    /// Where the server prepared the statement again, if not in the environment of the first
    /// preparation.
    pub fn otherwise(&self) -> Option<&Arc<Otherwise>> {
        self.environment.as_ref()
    }

    /// Whether the same can be done again.
    pub fn is_repeatable(&self) -> bool {
        !self.given.iter().any(|given| given.is_uncertain())
    }

    /// Whether the server, having done this, is sure to take these values as they are.
    fn covers(&self, given: &[Given], types: &[Type]) -> bool {
        self.given.iter().zip(given).zip(types).all(|((before, now), of)| {
            of.fits(*now) == Fits::Yes || (before == now && !now.is_uncertain())
        })
    }
}

/// What the types of a statement's parameters depend on: `None` while they are those that its first
/// preparation gave them.
pub type Settled = Option<Arc<[Step]>>;

/// What is known of the parameters of a client's statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// What made them what they are.
    pub settled: Settled,
    types: Box<[Type]>,
    /// What they were at first.
    derived: Arc<[Type]>,
}

impl Parameters {
    /// Those of a statement that was just prepared, of these types.
    pub fn new(types: impl IntoIterator<Item = Type>) -> Self {
        let derived: Arc<[Type]> = types.into_iter().collect();
        Self { settled: None, types: (*derived).into(), derived }
    }

    /// What they were at first.
    pub fn fresh(&self) -> Self {
        Self { settled: None, types: (*self.derived).into(), derived: self.derived.clone() }
    }

    /// Whether nothing is known of any.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Whether the execution that makes these parameters `later` cannot be done twice: the server takes
    /// bytes for a vector, and when it prepares the statement again, for a text behind that, which is
    /// no vector any more (measured).
    pub fn are_once(&self, later: &Self) -> bool {
        self.types
            .iter()
            .zip(&later.types)
            .any(|(now, later)| *now == Type::Vector && *later != Type::Vector)
    }

    /// What they are once the server has looked at these values, in this environment, if that is not
    /// the one of the first preparation. `None` if nothing changes.
    pub fn given(
        &self,
        given: &[Given],
        environment: impl FnOnce() -> Option<Arc<Otherwise>>,
    ) -> Option<Self> {
        if given.len() != self.types.len() {
            return None;
        }
        let last = self.settled.as_deref().and_then(<[Step]>::last);
        if last.is_some_and(|last| last.covers(given, &self.types)) {
            return None;
        }
        let fits = |fits| self.types.iter().zip(given).any(|(of, given)| of.fits(*given) == fits);
        let again = fits(Fits::No);
        if !again && !fits(Fits::Perhaps) {
            return None;
        }
        let after = self.types.iter().zip(given).map(|(of, given)| {
            let after = of.after(*given);
            if again || after == *of { after } else { Type::Unknown }
        });
        // A text has the collation that its parameter had before, which was another if it was none.
        let as_before = |of: &Type, given: &Given| *of == Type::Text || !given.is_text();
        let forgets = again && self.types.iter().zip(given).all(|(of, given)| as_before(of, given));
        let step = Step { given: given.into(), environment: environment() };
        let before = match &self.settled {
            Some(steps) if !forgets && steps.len() < MAX_STEPS => &steps[..],
            _ => &[],
        };
        let steps = before.iter().cloned().chain([step]).collect();
        let derived = self.derived.clone();
        Some(Self { settled: Some(steps), types: after.collect(), derived })
    }
}

#[cfg(test)]
mod tests;
