//! Where a user can see triggers, from its grants.
//!
//! MySQL lists a trigger only for who has the privilege TRIGGER on its table, MariaDB also for who may
//! change its rows, without the body (measured on 10.11). Neither says that it left one out.

use crate::session::server::Flavor;

/// The databases whose triggers are seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    everywhere: bool,
    seen: Vec<Pattern>,
    revoked: Vec<Pattern>,
}

/// A database as a grant names it: `%` is any text, `_` any character, unless behind a backslash.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern(Vec<u8>);

impl Coverage {
    /// Everything is seen.
    pub const ALL: Self = Self { everywhere: true, seen: Vec::new(), revoked: Vec::new() };

    /// From the rows of `SHOW GRANTS`. A line that cannot be read grants nothing.
    pub fn from_grants<'a>(lines: impl Iterator<Item = &'a [u8]>, flavor: Flavor) -> Self {
        let mut coverage = Self::default();
        for line in lines {
            coverage.take_in(line, flavor);
        }
        coverage
    }

    /// Whether no database is left out.
    pub fn is_all(&self) -> bool {
        self.everywhere && self.revoked.is_empty()
    }

    /// Whether all triggers of this database are seen.
    pub fn covers(&self, database: &[u8]) -> bool {
        let named = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.fits(database));
        (self.everywhere || named(&self.seen)) && !named(&self.revoked)
    }

    /// `GRANT TRIGGER, SELECT ON `db`.* TO …`, `REVOKE TRIGGER ON `db`.* FROM …`
    fn take_in(&mut self, line: &[u8], flavor: Flavor) {
        let (revokes, rest) = match (line.strip_prefix(b"GRANT "), line.strip_prefix(b"REVOKE ")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return,
        };
        let Some(on) = memchr::memmem::find(rest, b" ON ") else { return };
        let (privileges, object) = (&rest[..on], &rest[on + 4..]);
        let has = |wanted: &[u8]| {
            privileges.split(|byte| *byte == b',').any(|p| p.trim_ascii() == wanted)
        };
        let changes = flavor == Flavor::MariaDb
            && !revokes
            && [&b"INSERT"[..], b"UPDATE", b"DELETE"].into_iter().all(has);
        if !has(b"TRIGGER") && !has(b"ALL PRIVILEGES") && !has(b"ALL") && !changes {
            return;
        }
        let patterns = if revokes { &mut self.revoked } else { &mut self.seen };
        if object.starts_with(b"*.* ") {
            self.everywhere |= !revokes;
        } else if let Some(pattern) = database(object) {
            patterns.push(pattern);
        } else if revokes {
            patterns.push(Pattern(b"%".to_vec()));
        }
    }
}

/// The database in front of `.*`; `None` for a grant on less than a whole one.
fn database(object: &[u8]) -> Option<Pattern> {
    let quoted = object.strip_prefix(b"`")?;
    let mut name = Vec::new();
    let mut rest = quoted;
    loop {
        match rest {
            [b'`', b'`', behind @ ..] => {
                name.push(b'`');
                rest = behind;
            }
            [b'`', behind @ ..] => return behind.starts_with(b".* ").then_some(Pattern(name)),
            [byte, behind @ ..] => {
                name.push(*byte);
                rest = behind;
            }
            [] => return None,
        }
    }
}

impl Pattern {
    /// Names are compared to the letter: where the server ignores case, one that is written
    /// otherwise counts as not seen.
    fn fits(&self, database: &[u8]) -> bool {
        fits(&self.0, database)
    }
}

/// Goes through both at once; `%` is the only place to come back to.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    while from < text.len() {
        let (wanted, width) = match pattern.get(at..) {
            Some([b'\\', byte, ..]) => (Some(*byte), 2),
            Some([b'%', ..]) => {
                again = Some((at + 1, from));
                at += 1;
                continue;
            }
            Some([b'_', ..]) => (None, 1),
            Some([byte, ..]) => (Some(*byte), 1),
            _ => (Some(0), 0),
        };
        if width > 0 && wanted.is_none_or(|byte| byte == text[from]) {
            at += width;
            from += 1;
        } else if let Some((behind, tried)) = again {
            again = Some((behind, tried + 1));
            (at, from) = (behind, tried + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Coverage {
        Coverage::from_grants(lines.iter().map(|line| line.as_bytes()), Flavor::MySql)
    }

    #[test]
    fn only_who_may_make_triggers_sees_them() {
        let usual = of(&[
            "GRANT USAGE ON *.* TO `app`@`%`",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON `shop`.* TO `app`@`%`",
            "GRANT ALL PRIVILEGES ON `app%`.* TO `app`@`%`",
            "GRANT SELECT, TRIGGER ON `one\\_db`.* TO `app`@`%`",
            "GRANT TRIGGER ON `some`.`table` TO `app`@`%`",
            "GRANT `a role`@`%` TO `app`@`%`",
        ]);
        assert!(!usual.is_all());
        for (database, seen) in [
            ("shop", false),
            ("app", true),
            ("app_2", true),
            ("xapp", false),
            ("one_db", true),
            ("oneXdb", false),
            ("some", false),
            ("", false),
        ] {
            assert_eq!(usual.covers(database.as_bytes()), seen, "{database}");
        }
    }

    #[test]
    fn mariadb_lists_them_for_who_may_change_rows() {
        for (grant, seen) in [
            ("GRANT SELECT, INSERT, UPDATE, DELETE ON `a`.* TO `app`@`%`", true),
            ("GRANT SELECT, INSERT, UPDATE ON `a`.* TO `app`@`%`", false),
        ] {
            let lines = || std::iter::once(grant.as_bytes());
            assert_eq!(Coverage::from_grants(lines(), Flavor::MariaDb).covers(b"a"), seen);
            assert!(!Coverage::from_grants(lines(), Flavor::MySql).covers(b"a"));
        }
    }

    #[test]
    fn a_grant_on_everything_is_all_but_for_what_was_revoked() {
        assert!(of(&["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"]).is_all());
        assert!(of(&["GRANT SELECT, TRIGGER, EVENT ON *.* TO `m`@`%`"]).is_all());
        assert!(!of(&["GRANT SELECT ON *.* TO `m`@`%`"]).is_all());
        let partial =
            of(&["GRANT TRIGGER ON *.* TO `m`@`%`", "REVOKE TRIGGER ON `a``b`.* FROM `m`@`%`"]);
        assert!(!partial.is_all() && partial.covers(b"c") && !partial.covers(b"a`b"));
    }

    #[test]
    fn patterns_go_back_to_the_last_percent_sign() {
        for (pattern, text, right) in [
            ("%a%b", "xaxbab", true),
            ("%ab", "aab", true),
            ("a%%", "a", true),
            ("a\\%", "a%", true),
            ("a\\%", "ab", false),
            ("_", "ab", false),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), right, "{pattern} {text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(line in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
            let lines = [&b"GRANT TRIGGER ON `"[..], b"REVOKE ALL ON ", b""];
            for start in lines {
                let line = [start, &line].concat();
                let coverage = Coverage::from_grants(std::iter::once(&line[..]), Flavor::MariaDb);
                coverage.covers(&line);
            }
        }
    }
}
