//! What texts have in common that differ only in their numbers.
//!
//! Clients say the same over and over, with other numbers in it. What a text may do to its session
//! does not depend on those, so that one reading stands for all texts of a shape. Only of plain texts
//! a shape is told: without comments, strings, variables, and bytes that a character set could read
//! otherwise.

use super::Analysis;

/// The longest text of which a shape is told.
pub const LONGEST: usize = 512;

/// What a byte may be in a plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Between words and numbers.
    Gap,
    Digit,
    /// Of a name, or of a number that is no row of digits.
    Name,
    Backtick,
    /// The text is not plain, or not if the same byte follows.
    Minus,
    Slash,
    Foreign,
}

static PARTS: [Part; 256] = {
    let mut parts = [Part::Foreign; 256];
    let mut byte = 0;
    while byte < 0x80 {
        parts[byte] = match byte as u8 {
            b' ' | b'\t' | b'\n' | b'\r' => Part::Gap,
            b'(' | b')' | b',' | b';' | b'=' | b'<' | b'>' | b'+' | b'*' | b'%' | b'!' => Part::Gap,
            b'0'..=b'9' => Part::Digit,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | b'.' | b'?' => Part::Name,
            b'`' => Part::Backtick,
            b'-' => Part::Minus,
            b'/' => Part::Slash,
            _ => Part::Foreign,
        };
        byte += 1;
    }
    parts
};

/// Bytes at which more has to be looked at than the byte.
static STOPS: [bool; 256] = {
    let mut stops = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        stops[byte] = !matches!(PARTS[byte], Part::Gap | Part::Name);
        byte += 1;
    }
    stops
};

fn part(byte: u8) -> Part {
    PARTS[usize::from(byte)]
}

/// Whether a number may stand beside this byte, or the text's end.
fn is_gap(byte: Option<&u8>) -> bool {
    byte.is_none_or(|byte| matches!(part(*byte), Part::Gap | Part::Minus | Part::Slash))
}

/// The text with a zero for each of its whole numbers, written into `room`; `None` if it is not
/// plain, or too long.
pub fn shape<'a>(text: &[u8], room: &'a mut [u8; LONGEST]) -> Option<&'a [u8]> {
    if text.len() > LONGEST {
        return None;
    }
    let mut length = 0;
    // What is copied as it is, up to the next number.
    let mut from = 0;
    let mut at = 0;
    while let Some(ahead) = text[at..].iter().position(|byte| STOPS[usize::from(*byte)]) {
        at += ahead;
        let next = text.get(at + 1);
        match part(text[at]) {
            Part::Digit => {
                let first = at;
                let rest = &text[first..];
                let digits = rest.iter().position(|byte| !byte.is_ascii_digit());
                at += digits.unwrap_or(rest.len());
                if is_gap(text[..first].last()) && is_gap(text.get(at)) {
                    length += put(room, length, &text[from..first]);
                    length += put(room, length, b"0");
                    from = at;
                }
                continue;
            }
            // A quoted name is not looked into.
            Part::Backtick => {
                at += 1 + text[at + 1..].iter().position(|byte| !is_inside(*byte))?;
                if text[at] != b'`' {
                    return None;
                }
            }
            Part::Minus if next == Some(&b'-') => return None,
            Part::Slash if next == Some(&b'*') => return None,
            Part::Foreign => return None,
            Part::Gap | Part::Name | Part::Minus | Part::Slash => {}
        }
        at += 1;
    }
    length += put(room, length, &text[from..]);
    Some(&room[..length])
}

/// Whether a quoted name goes on with this byte, in every character set.
fn is_inside(byte: u8) -> bool {
    byte != b'`' && byte < 0x80 && byte != 0
}

/// Copies `bytes` to `at`; gives their number.
fn put(room: &mut [u8; LONGEST], at: usize, bytes: &[u8]) -> usize {
    room[at..at + bytes.len()].copy_from_slice(bytes);
    bytes.len()
}

impl Analysis {
    /// Whether it says all that there is to say of each text of the same shape: it has no
    /// particulars, which may hold numbers and places in the text.
    pub fn is_of_shape(&self) -> bool {
        self.details.is_none() && self.sole.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::catalogue::Catalogue;
    use crate::session::lexer::Dialect;
    use crate::session::server::ServerVersion;
    use crate::session::statement::analyze;
    use proptest::prelude::*;

    fn shape_of(text: &str) -> Option<String> {
        let mut room = [0; LONGEST];
        shape(text.as_bytes(), &mut room).map(|shape| String::from_utf8_lossy(shape).into_owned())
    }

    #[test]
    fn whole_numbers_are_left_out_and_nothing_else() {
        for (text, expected) in [
            ("SELECT c FROM t WHERE id = 123", "SELECT c FROM t WHERE id = 0"),
            (
                "SELECT c FROM t1 WHERE id=7 AND x IN(1,22)",
                "SELECT c FROM t1 WHERE id=0 AND x IN(0,0)",
            ),
            ("SELECT `a 5 b` + 5-6/7", "SELECT `a 5 b` + 0-0/0"),
            (
                "SELECT 1.5, .5, 5., 0x1F, 1e5, t.5, 5a, $5",
                "SELECT 1.5, .5, 5., 0x1F, 1e5, t.5, 5a, $5",
            ),
            ("12", "0"),
            ("", ""),
        ] {
            assert_eq!(shape_of(text).as_deref(), Some(expected));
        }
    }

    #[test]
    fn texts_that_are_not_plain_have_no_shape() {
        for text in [
            "SELECT '5'",
            "SELECT \"5\"",
            "SELECT 5 -- 6",
            "SELECT /*!50001 5 */",
            "SELECT 5 # 6",
            "SELECT @a, 5",
            "SELECT é",
            "SELECT `a",
            "SELECT `é`",
            "SELECT 5\0",
            "SELECT '\\",
        ] {
            assert_eq!(shape_of(text), None, "{text}");
        }
        assert_eq!(shape_of(&"x".repeat(LONGEST)).map(|shape| shape.len()), Some(LONGEST));
        assert_eq!(shape_of(&"x".repeat(LONGEST + 1)), None);
    }

    /// Pieces of texts, many of which mean something to a session.
    fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
        let piece = prop::sample::select(vec![
            "SELECT",
            "FROM",
            "t",
            "t1",
            "`a 1`",
            "WHERE",
            "id",
            "=",
            "1",
            "23",
            "4567",
            "0",
            ",",
            "(",
            ")",
            ";",
            ".",
            "-",
            "+",
            "*",
            "/",
            "e",
            "e5",
            "x",
            "LIMIT",
            "OFFSET",
            "UNION",
            "SET",
            "autocommit",
            "sql_mode",
            "KILL",
            "QUERY",
            "SHOW",
            "WARNINGS",
            "ERRORS",
            "COUNT",
            "GET_LOCK",
            "SLEEP",
            "CALL",
            "p",
            "INSERT INTO",
            "VALUES",
            "UPDATE",
            "DELETE",
            "COMMIT",
            "BEGIN",
            "XA",
            "USE",
            "db",
            "GET DIAGNOSTICS",
            "CONDITION",
            "CONNECTION_ID",
            "FOR",
            "DO",
            "LAST_INSERT_ID",
            "FOUND_ROWS",
            "ROW_COUNT",
            "NEXTVAL",
            "CREATE TEMPORARY TABLE",
            "int",
            "SQL_CALC_FOUND_ROWS",
            "HANDLER",
            "OPEN",
            "READ",
            "EXECUTE",
            "IMMEDIATE",
            "PREPARE",
            " ",
            " ",
            " ",
            " ",
            " ",
            " ",
            " ",
            " ",
        ]);
        prop::collection::vec(piece, 0..24)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// The shape is itself a text of that shape: both are read alike.
        #[test]
        fn a_text_is_read_as_its_shape_is(pieces in pieces(), blind in any::<bool>(), maria in any::<bool>()) {
            let text = pieces.concat();
            let mut room = [0; LONGEST];
            let Some(shape) = shape(text.as_bytes(), &mut room) else { return Ok(()) };
            let version: &[u8] = if maria { b"10.11.6-MariaDB" } else { b"9.7.0" };
            let dialect = Dialect::new(&ServerVersion::parse(version), b"", "utf8mb4");
            let catalogue = if blind { Catalogue::default() } else { Catalogue::empty() };
            let of_shape = analyze(shape, &dialect, &catalogue);
            let own = analyze(text.as_bytes(), &dialect, &catalogue);
            prop_assert_eq!(own.is_of_shape(), of_shape.is_of_shape());
            if own.is_of_shape() {
                prop_assert_eq!(own, of_shape);
            }
        }
    }
}
