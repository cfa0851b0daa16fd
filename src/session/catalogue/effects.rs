//! What running a stored body may leave behind in a session.

use crate::session::sequences::SequenceName;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::BitOr;

/// The user variables that a body may touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum UserVariables {
    /// None.
    #[default]
    None,
    /// These: names as in [`UserVariable::name`](crate::session::statement::UserVariable::name).
    Named(BTreeSet<Box<[u8]>>),
    /// It can't be told which.
    Any,
}

/// Other things that a body may do, as a set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Reach(u16);

macro_rules! reach {
    ($($(#[$doc:meta])* $name:ident = $bit:expr;)*) => {
        impl Reach {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            const NAMES: &[(Self, &str)] = &[$((Self::$name, stringify!($name)),)*];
        }
    };
}

reach! {
    /// Temporary tables are made, dropped or renamed.
    TEMPORARY_TABLES = 0;
    /// User locks are taken or released.
    USER_LOCKS = 1;
    /// Prepared statements in text are made or dropped.
    PREPARED_STATEMENTS = 2;
    /// Session variables are set. Trackers report them, except from a statement that fails.
    SESSION_VARIABLES = 3;
    /// The last insert id changes.
    LAST_INSERT_ID = 4;
    /// A transaction begins or ends, or a savepoint is set.
    TRANSACTION = 5;
    /// The role changes.
    ROLE = 6;
    /// Locks of tables or of the server, handlers.
    LOCKS = 7;
    /// Variables that can't be moved to another connection are set.
    SPECIAL_VARIABLES = 8;
    /// The characteristics of the next transaction are set.
    NEXT_TRANSACTION = 9;
    /// Sequences change: values are taken of those in [`Effects::sequences`], or they are set.
    BACKEND_LOCAL = 10;
    /// The character set changes by `SET NAMES`, whose collation no tracker reports.
    CHARACTER_SET = 11;
    /// The resource group changes.
    RESOURCE_GROUP = 12;
    /// Values are taken of sequences whose names can't be told.
    UNKNOWN_SEQUENCE = 13;
    /// Sequences are asked for their last values.
    LAST_VALUES = 14;
    /// Anything: the body can't be seen, or runs text that it builds.
    EVERYTHING = 15;
}

impl Reach {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Whether it is nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` are in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in it.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Adds `other`.
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitOr for Reach {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        for (_, name) in Self::NAMES.iter().filter(|(reach, _)| self.contains(*reach)) {
            set.entry(&format_args!("{name}"));
        }
        set.finish()
    }
}

/// What running something impure may do to a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effects {
    /// The user variables that may be read or written.
    pub user_variables: UserVariables,
    /// The session variables that are set as `@@name`, which MariaDB reports by no tracker. ASCII
    /// letters in lower case.
    pub silent_settings: BTreeSet<Box<[u8]>>,
    /// The sequences of which values are taken.
    pub sequences: BTreeSet<SequenceName>,
    /// Everything else.
    pub reach: Reach,
}

impl Effects {
    /// Anything at all.
    pub const EVERYTHING: Self = Self {
        user_variables: UserVariables::Any,
        silent_settings: BTreeSet::new(),
        sequences: BTreeSet::new(),
        reach: Reach::EVERYTHING,
    };

    /// Whether there is no effect.
    pub fn is_empty(&self) -> bool {
        self.reach.is_empty() && self.user_variables == UserVariables::None
    }

    /// Adds the effects of `other`. Returns whether anything was new.
    pub fn merge(&mut self, other: &Self) -> bool {
        let before = self.reach;
        self.reach.insert(other.reach);
        let variables = self.user_variables.merge(&other.user_variables);
        let settings = self.silent_settings.len();
        self.silent_settings.extend(other.silent_settings.iter().cloned());
        let sequences = self.sequences.len();
        self.sequences.extend(other.sequences.iter().cloned());
        let named = self.silent_settings.len() > settings || self.sequences.len() > sequences;
        variables || self.reach != before || named
    }
}

impl UserVariables {
    /// Adds a name.
    pub fn insert(&mut self, name: Box<[u8]>) {
        match self {
            Self::None => *self = Self::Named(BTreeSet::from([name])),
            Self::Named(names) => {
                names.insert(name);
            }
            Self::Any => {}
        }
    }

    /// Whether it may be this variable.
    pub fn contains(&self, name: &[u8]) -> bool {
        match self {
            Self::None => false,
            Self::Named(names) => names.contains(name),
            Self::Any => true,
        }
    }

    fn merge(&mut self, other: &Self) -> bool {
        match (&mut *self, other) {
            (Self::Any, _) | (_, Self::None) => false,
            (Self::Named(names), Self::Named(others)) => {
                let before = names.len();
                names.extend(others.iter().cloned());
                names.len() > before
            }
            (Self::None | Self::Named(_), _) => {
                *self = other.clone();
                true
            }
        }
    }
}
