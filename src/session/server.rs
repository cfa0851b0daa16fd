//! Which server is behind: the two flavors differ in what they report and restore.

/// A family of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// MySQL and what is built on it.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// How table names are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameCase {
    /// Byte by byte.
    Exact,
    /// Without case.
    Ignored,
}

/// A server's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// The family.
    pub flavor: Flavor,
    /// Major, minor, patch.
    pub number: (u16, u16, u16),
    /// As the server's greeting says it.
    pub text: String,
}

impl ServerVersion {
    /// Reads a greeting's version: `9.7.4-2`, `10.11.19-MariaDB-…`, or `5.5.5-10.11.19-MariaDB`
    /// (MariaDB's disguise for old replicas).
    pub fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text).into_owned();
        let flavor = if text.to_ascii_lowercase().contains("mariadb") {
            Flavor::MariaDb
        } else {
            Flavor::MySql
        };
        let bare = text.strip_prefix("5.5.5-").filter(|_| flavor == Flavor::MariaDb);
        let mut parts = bare
            .unwrap_or(&text)
            .split(|c: char| !c.is_ascii_digit())
            .map(|part| part.parse().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        Self { flavor, number: (next(), next(), next()), text }
    }

    /// The version as one number, as executable comments write it: 80036, 101119.
    pub fn as_number(&self) -> u32 {
        let (major, minor, patch) = self.number;
        u32::from(major) * 10_000 + u32::from(minor) * 100 + u32::from(patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_both_families_are_told_apart() {
        let mysql = ServerVersion::parse(b"9.7.4-2");
        assert_eq!((mysql.flavor, mysql.number), (Flavor::MySql, (9, 7, 4)));
        let maria = ServerVersion::parse(b"5.5.5-10.11.19-MariaDB-0+deb12u1");
        assert_eq!((maria.flavor, maria.number), (Flavor::MariaDb, (10, 11, 19)));
        assert_eq!(maria.as_number(), 101_119);
    }
}
