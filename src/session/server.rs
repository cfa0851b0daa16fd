//! Which server software is behind a connection: it decides grammar, variables and quirks.

/// The two families of servers that speak the MySQL protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// MySQL, Percona Server, Aurora MySQL.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// A server's version as its greeting names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// The family.
    pub flavor: Flavor,
    /// Major, minor and patch number.
    pub number: (u16, u16, u16),
    /// The text of the greeting.
    pub text: String,
}
