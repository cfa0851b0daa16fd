//! A statement's text for the log, with what belongs to users left out.

use super::lexer::{Dialect, Lexer, TokenKind};

/// The longest text that is given, in bytes.
const LONGEST: usize = 2_048;

/// The statement with `?` in place of each literal, without comments, blanks collapsed; names stay.
/// From where it cannot be read as the server reads it, there is only `…`.
pub fn masked(sql: &[u8], dialect: &Dialect) -> String {
    let mut lexer = Lexer::new(sql, dialect);
    let mut out = String::with_capacity(sql.len().min(LONGEST));
    let mut end = 0;
    loop {
        let token = lexer.next_token();
        if token.kind == TokenKind::End {
            return out;
        }
        if token.start > end && !out.is_empty() {
            out.push(' ');
        }
        end = token.end;
        match token.kind {
            TokenKind::Text | TokenKind::Bits | TokenKind::Number | TokenKind::Dollar => {
                out.push('?');
            }
            TokenKind::Opaque => {
                out.push('…');
                return out;
            }
            // What it says is not for anybody else.
            TokenKind::Hint => {}
            _ => out.push_str(&String::from_utf8_lossy(token.text(sql))),
        }
        if out.len() > LONGEST {
            return cut(out);
        }
    }
}

/// The statement as it is, as far as a line of the log has room.
pub fn unmasked(sql: &[u8]) -> String {
    let text = String::from_utf8_lossy(&sql[..sql.len().min(LONGEST + 1)]).into_owned();
    if text.len() > LONGEST { cut(text) } else { text }
}

fn cut(mut text: String) -> String {
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push('…');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::server::{Flavor, ServerVersion};

    fn dialect(sql_mode: &[u8]) -> Dialect {
        let version =
            ServerVersion { flavor: Flavor::MySql, number: (9, 7, 4), text: String::new() };
        Dialect::new(&version, sql_mode, "utf8mb4")
    }

    #[track_caller]
    fn masks(sql: &str, expected: &str) {
        assert_eq!(masked(sql.as_bytes(), &dialect(b"")), expected);
    }

    #[test]
    fn literals_are_masked_and_names_are_not() {
        masks(
            "SELECT a, `b` FROM t WHERE c = 'it''s' AND d<-1.5e3",
            "SELECT a, `b` FROM t WHERE c = ? AND d<-?",
        );
        masks(
            "INSERT INTO t VALUES (0x4D, b'01', N'x', \"y\")",
            "INSERT INTO t VALUES (?, ?, ?, ?)",
        );
        masks("SET PASSWORD = 'secret'", "SET PASSWORD = ?");
        masks("SELECT t1.c2, @v3 FROM t1", "SELECT t1.c2, @v3 FROM t1");
    }

    #[test]
    fn comments_are_left_out_and_blanks_collapse() {
        masks("SELECT /* card 4111 */ 1 -- secret\n  FROM\tt # more", "SELECT ? FROM t");
        masks("SELECT 1\n\nFROM t", "SELECT ? FROM t");
    }

    #[test]
    fn double_quotes_are_what_the_mode_says() {
        let sql = b"SELECT \"a\" FROM t";
        assert_eq!(masked(sql, &dialect(b"")), "SELECT ? FROM t");
        assert_eq!(masked(sql, &dialect(b"ANSI_QUOTES")), "SELECT \"a\" FROM t");
    }

    #[test]
    fn what_cannot_be_read_is_not_shown() {
        let shown = masked(b"SELECT 'unfinished secret", &dialect(b""));
        assert!(!shown.contains("secret"), "{shown}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_masked_and_no_string_is_shown(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            string in "[a-z]{12}",
        ) {
            masked(&bytes, &dialect(b""));
            let sql = [b"SELECT '", string.as_bytes(), b"' ", &bytes].concat();
            proptest::prop_assert!(!masked(&sql, &dialect(b"")).contains(&string));
        }
    }

    #[test]
    fn a_long_statement_is_cut_between_characters() {
        let sql = format!("SELECT {}é", "é,".repeat(LONGEST));
        for shown in [masked(sql.as_bytes(), &dialect(b"")), unmasked(sql.as_bytes())] {
            assert!(shown.len() <= LONGEST + 3 && shown.ends_with('…'), "{}", shown.len());
        }
    }
}
