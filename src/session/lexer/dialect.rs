//! What decides how a statement's bytes become tokens.

use super::charset::Charset;
use crate::session::server::{Flavor, ServerVersion};

/// The server's and the session's part in reading a statement: small, `Copy`, made anew when the
/// session's `sql_mode` or `character_set_client` changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// The family of the server.
    pub flavor: Flavor,
    /// The server's version as versioned comments write it: 80036 is 8.0.36, 101106 is 10.11.6.
    pub version: u32,
    /// The class of `character_set_client`.
    pub charset: Charset,
    /// `ANSI_QUOTES`: double quotes delimit names.
    pub ansi_quotes: bool,
    /// `NO_BACKSLASH_ESCAPES`: a backslash in a string is a backslash.
    pub no_backslash_escapes: bool,
    /// MariaDB's `ORACLE` mode: `BEGIN` opens a block.
    pub oracle: bool,
    /// The session may send several statements at once.
    pub multi_statements: bool,
}

impl Dialect {
    /// The dialect of a session with this `@@sql_mode` and `@@character_set_client`, which may send
    /// several statements at once.
    pub fn new(server: &ServerVersion, sql_mode: &[u8], charset: &str) -> Self {
        let plain = Self {
            flavor: server.flavor,
            version: server.as_number(),
            charset: Charset::Utf8,
            ansi_quotes: false,
            no_backslash_escapes: false,
            oracle: false,
            multi_statements: true,
        };
        plain.with_sql_mode(sql_mode).with_charset(charset.as_bytes())
    }

    /// Takes over what the text of `@@sql_mode` says about quoting.
    #[must_use]
    pub fn with_sql_mode(mut self, sql_mode: &[u8]) -> Self {
        let (mut oracle, mut ansi_quotes, mut no_backslash_escapes) = (false, false, false);
        for mode in sql_mode.split(|&byte| byte == b',') {
            let is = |name: &[u8]| mode.eq_ignore_ascii_case(name);
            oracle |= is(b"ORACLE");
            // The server expands the combinations itself; a client may still write them by hand.
            ansi_quotes |= is(b"ANSI_QUOTES") || is(b"ANSI");
            no_backslash_escapes |= is(b"NO_BACKSLASH_ESCAPES");
        }
        self.oracle = oracle && self.flavor == Flavor::MariaDb;
        self.ansi_quotes = ansi_quotes || self.oracle;
        self.no_backslash_escapes = no_backslash_escapes;
        self
    }

    /// Takes over `@@character_set_client`.
    #[must_use]
    pub fn with_charset(mut self, name: &[u8]) -> Self {
        self.charset = Charset::from_name(name);
        self
    }
}
