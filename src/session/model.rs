//! One client's session, as far as it can be held without a connection.

use super::pin::Pins;
use super::prepared::ClientStatements;
use super::residue::{Counts, FoundRows, Residue};
use super::server::{Flavor, ServerVersion};
use super::state::{Baseline, Environment, MultiStatements};
use super::statement::Dialect;
use super::text::TextStatements;
use super::treatment::{PoolMode, Treatment};
use crate::wire::capability::Status;
use std::sync::Arc;

/// A client's session.
#[derive(Debug)]
pub struct Session {
    /// What is to be in place on whichever backend connection runs the next statement.
    pub environment: Arc<Environment>,
    /// What the client had after its login, to which a reset returns.
    pub login: Arc<Environment>,
    /// What belongs to the session beside that.
    pub residue: Residue,
    /// Why it keeps its backend connection.
    pub pins: Pins,
    /// The values that variables had when the session's first connection began; `None` before that.
    pub baseline: Option<Arc<Baseline>>,
    /// The status flags that the client saw last.
    pub status: Status,
    /// The warnings and errors that the server counted last.
    pub counted: Counts,
    /// What has to be asked before the backend connection can be given back.
    pub unsettled: Unsettled,
    /// What is open of what its connection holds, where its statements may have done anything.
    pub unseen: Unseen,
    /// When it entered its database, as one of its service's moments; 0 before its first statement.
    /// A connection that is in there since before may remember a default character set that was
    /// altered meanwhile.
    pub entered: u64,
    /// Statements prepared by text; most sessions have none.
    pub text_statements: Option<Box<TextStatements>>,
    /// Binary prepared statements; most sessions have none.
    pub statements: Option<Box<ClientStatements>>,
    /// The client asked that nobody else gets its connection.
    pub dedicated: bool,
    /// How it is treated, where that is not as usual.
    pub treatment: Option<Arc<Treatment>>,
    /// How the client's statements are to be read.
    pub dialect: Dialect,
}

/// Questions that are still open after a statement, to be asked off the client's path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unsettled {
    /// A statement failed: whether a transaction goes on is not known.
    pub after_error: bool,
    /// A statement failed: what it had changed before is not reported yet. MariaDB keeps that back
    /// until a statement has something of its own to report (measured).
    pub unreported: bool,
    /// A character set variable changed, and with it perhaps others that are not reported.
    pub charsets: bool,
    /// The character set of results was set by itself.
    pub results: bool,
    /// User locks were released, perhaps.
    pub locks: bool,
    /// Variables that were set and not reported; hardly any session has some.
    pub settings: Option<Box<SilentSettings>>,
}

/// Whether the server is to be asked what a connection holds ([`super::inspection`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unseen {
    /// A statement ran that may have changed what is there, since it was last asked.
    pub open: bool,
    /// The last statement has ended a transaction: without `autocommit`, only then no savepoint is
    /// there.
    pub outside: bool,
}

/// Variables whose setting MariaDB does not report: those assigned as `@@name`, without a scope
/// (measured).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SilentSettings {
    /// Each once, ASCII letters in lower case.
    pub names: Vec<Box<[u8]>>,
}

impl Unsettled {
    /// Whether nothing is open.
    pub fn is_settled(&self) -> bool {
        let Self { charsets, results, locks, settings, .. } = self;
        !(self.is_after_error() || *charsets || *results || *locks) && settings.is_none()
    }

    /// Whether anything of a failed statement is not known.
    pub fn is_after_error(&self) -> bool {
        self.after_error || self.unreported
    }

    /// Notes that this variable was set, perhaps, and not reported.
    pub fn set_silently(&mut self, name: &[u8]) {
        let names = &mut self.settings.get_or_insert_default().names;
        if !names.iter().any(|noted| **noted == *name) {
            names.push(name.into());
        }
    }
}

impl Session {
    /// A session that has just logged in.
    pub fn new(login: Arc<Environment>, version: &ServerVersion, baseline: &Baseline) -> Self {
        let dialect = dialect(version, &login, baseline);
        let mut residue = Residue::default();
        if version.flavor == Flavor::MariaDb {
            // So it says after a login (measured).
            residue.found_rows = FoundRows::Known(1);
        }
        Self {
            environment: login.clone(),
            login,
            residue,
            pins: Pins::default(),
            baseline: None,
            status: initial_status(version, &dialect, baseline),
            counted: Counts::default(),
            unsettled: Unsettled::default(),
            unseen: Unseen::default(),
            entered: 0,
            text_statements: None,
            statements: None,
            dedicated: false,
            treatment: None,
            dialect,
        }
    }

    /// The environment changed: statements may have to be read differently from now on.
    pub fn environment_changed(&mut self, version: &ServerVersion, baseline: &Baseline) {
        self.dialect = dialect(version, &self.environment, baseline);
    }

    /// The session goes on on a connection that began with these values. Where somebody's SET GLOBAL
    /// was between, it keeps those that it began with.
    pub fn continues_on(&mut self, baseline: &Arc<Baseline>, version: &ServerVersion) {
        if self.baseline.as_ref().is_some_and(|before| Arc::ptr_eq(before, baseline)) {
            return;
        }
        let Some(before) = self.baseline.replace(baseline.clone()) else { return };
        let carried = super::inherited::CARRIED.iter().filter(|name| {
            before.get(name) != baseline.get(name) && self.environment.variables.get(name).is_none()
        });
        let carried: Vec<_> = carried.filter_map(|n| Some((*n, before.get(n)?))).collect();
        if !carried.is_empty() {
            let environment = Arc::make_mut(&mut self.environment);
            for (name, value) in carried {
                environment.variables.set(name, value);
            }
            self.environment_changed(version, baseline);
        }
    }

    /// The client may or may not send several statements at once from now on.
    pub fn set_multi_statements(&mut self, option: MultiStatements) {
        if self.environment.multi_statements != option {
            Arc::make_mut(&mut self.environment).multi_statements = option;
            self.dialect.multi_statements = option == MultiStatements::On;
        }
    }

    /// Returns to what a reset leaves: the login's environment, but the database and the role of
    /// now, and the multi-statement option (both servers keep these).
    pub fn reset(
        &mut self,
        version: &ServerVersion,
        baseline: &Baseline,
        global: &Arc<Environment>,
    ) {
        let mut environment = match version.flavor {
            // MySQL goes to the server's character set, MariaDB to the handshake's.
            Flavor::MySql => (**global).clone(),
            Flavor::MariaDb => Environment {
                variables: super::state::Variables::default(),
                ..(*self.login).clone()
            },
        };
        if version.flavor == Flavor::MySql {
            environment.variables = self.login.variables.clone();
        }
        environment.database = self.environment.database.clone();
        environment.role = self.environment.role.clone();
        environment.multi_statements = self.environment.multi_statements;
        self.environment = Arc::new(environment);
        self.residue = Residue::default();
        self.pins.clear();
        self.counted = Counts::default();
        self.unsettled = Unsettled::default();
        self.unseen = Unseen::default();
        self.dedicated = false;
        self.text_statements = None;
        self.statements = None;
        // A reset takes over the global values of now.
        self.baseline = None;
        self.environment_changed(version, baseline);
        self.status = initial_status(version, &self.dialect, baseline);
    }

    /// The most conditions that a server keeps for it (`max_error_count`).
    pub fn kept_conditions(&self) -> usize {
        let baseline = || self.baseline.as_ref()?.get("max_error_count");
        let most = self.environment.variables.get("max_error_count").or_else(baseline);
        let most = most.and_then(|most| std::str::from_utf8(most).ok()?.parse().ok());
        most.unwrap_or(usize::MAX)
    }

    /// How long the session keeps a connection.
    pub fn pool_mode(&self) -> PoolMode {
        self.treatment.as_ref().map_or(PoolMode::default(), |treatment| treatment.pool_mode)
    }

    /// Whether nobody else is to have its connection afterwards.
    pub fn is_dedicated(&self) -> bool {
        self.dedicated || self.pool_mode() == PoolMode::Dedicated
    }

    /// The statements prepared by text.
    pub fn text_statements(&mut self) -> &mut TextStatements {
        self.text_statements.get_or_insert_default()
    }

    /// The binary prepared statements.
    pub fn statements(&mut self) -> &mut ClientStatements {
        self.statements.get_or_insert_default()
    }
}

/// What a server says of a session that has just begun: MariaDB whether it is under autocommit, MySQL
/// always that it is; and both how to escape in texts (measured).
pub fn initial_status(version: &ServerVersion, dialect: &Dialect, baseline: &Baseline) -> Status {
    let autocommit =
        version.flavor == Flavor::MySql || baseline.get("autocommit") != Some(&b"OFF"[..]);
    let status = if autocommit { Status::AUTOCOMMIT } else { Status::default() };
    if dialect.no_backslash_escapes { status | Status::NO_BACKSLASH_ESCAPES } else { status }
}

/// What a server says of a session before it is known whose it will be.
pub fn greeting_status(version: &ServerVersion, baseline: &Baseline) -> Status {
    let mode = baseline.get("sql_mode").unwrap_or_default();
    initial_status(version, &Dialect::new(version, mode, "utf8mb4"), baseline)
}

fn dialect(version: &ServerVersion, environment: &Environment, baseline: &Baseline) -> Dialect {
    let mode = environment.variables.get("sql_mode").or_else(|| baseline.get("sql_mode"));
    let mode = mode.unwrap_or_default();
    let charset = environment.client_charset().unwrap_or("utf8mb4");
    let multi_statements = environment.multi_statements == MultiStatements::On;
    Dialect { multi_statements, ..Dialect::new(version, mode, charset) }
}
