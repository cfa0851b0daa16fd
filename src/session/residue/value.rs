//! How a user variable's value is written, so that an assignment gives it back as it was.

use super::{ColumnType, put_variable_name};
use crate::session::lexer::Charset;

pub(super) const LONGLONG: u8 = 8;
const DOUBLE: u8 = 5;
const NEWDECIMAL: u8 = 246;
const GEOMETRY: u8 = 255;
pub(super) const UNSIGNED: u16 = 32;

/// The right side of an assignment that gives a variable this value, type and collation again
/// (measured on both servers, session-state table of user variables); `None` for a variable that
/// was never assigned.
pub(super) fn literal(
    name: &[u8],
    column: ColumnType,
    values: &[Option<Vec<u8>>],
) -> Option<Box<[u8]>> {
    let [value, hex, charset, collation] = values else { return None };
    let text = |v: &Option<Vec<u8>>| v.clone().unwrap_or_default();
    let mut out = Vec::new();
    match (column.code, value) {
        (LONGLONG, None) => put_cast(&mut out, b"NULL", integer_type(column)),
        (LONGLONG, Some(n)) if column.flags & UNSIGNED != 0 => {
            put_cast(&mut out, n, integer_type(column));
        }
        (LONGLONG, Some(n)) | (NEWDECIMAL, Some(n)) => out.extend_from_slice(n),
        (NEWDECIMAL, None) => put_cast(&mut out, b"NULL", b"DECIMAL(65,30)"),
        (DOUBLE, None) => put_cast(&mut out, b"NULL", b"DOUBLE"),
        (DOUBLE, Some(n)) => {
            out.extend_from_slice(n);
            if !n.contains(&b'e') {
                out.extend_from_slice(b"e0");
            }
        }
        (GEOMETRY, Some(_)) => {
            // The internal form: four bytes of SRID before the well-known binary.
            let hex = text(hex);
            let (srid, wkb) = hex.split_at_checked(8)?;
            let srid = u32::from_str_radix(std::str::from_utf8(srid).ok()?, 16).ok()?.swap_bytes();
            out.extend_from_slice(b"ST_GEOMFROMWKB(x'");
            out.extend_from_slice(wkb);
            out.extend_from_slice(format!("',{srid})").as_bytes());
        }
        (_, None) if is_unset(column) => return None,
        (_, None) => {
            put_typed_string(&mut out, b"", &text(charset), &text(collation));
            out.push(b',');
            put_variable_name(&mut out, name);
            out.extend_from_slice(b"=NULL");
        }
        (_, Some(_)) => put_typed_string(&mut out, &text(hex), &text(charset), &text(collation)),
    }
    Some(out.into())
}

/// Whether a [`literal`] gives this value back: both servers refuse one of bytes that are no
/// characters in its character set, which a text without `_charset` in front may well have (binary
/// data in quotes).
pub(super) fn can_be_written(column: ColumnType, values: &[Option<Vec<u8>>]) -> bool {
    match values {
        [_, Some(hex), Some(charset), _]
            if !matches!(column.code, LONGLONG | NEWDECIMAL | DOUBLE) =>
        {
            from_hex(hex).is_some_and(|bytes| is_well_formed(charset, &bytes))
        }
        _ => true,
    }
}

fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let pairs = digits.chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect()
}

/// What is not known to be right is taken for wrong.
fn is_well_formed(charset: &[u8], bytes: &[u8]) -> bool {
    if bytes.is_ascii() {
        return true;
    }
    match charset {
        b"utf8mb4" => std::str::from_utf8(bytes).is_ok(),
        b"utf8mb3" | b"utf8" => std::str::from_utf8(bytes).is_ok_and(|_| !has_wide(bytes)),
        b"ascii" => false,
        _ => match Charset::from_name(charset) {
            // UTF-16 and the like are in no text that a client sends: what there is was converted.
            Charset::Latin1 | Charset::SingleByte | Charset::Unknown => true,
            known => has_whole_characters(known, bytes),
        },
    }
}

/// Whether UTF-8 has characters beyond the basic plane.
fn has_wide(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| *byte >= 0xf0)
}

fn has_whole_characters(charset: Charset, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let length = match (charset, rest) {
            (Charset::Sjis, [0xa1..=0xdf, ..]) => 1,
            (Charset::Euc, [0xa1..=0xf7, 0xa1..=0xfe, ..]) => 2,
            _ => charset.wide_length(rest),
        };
        if length == 0 && !first.is_ascii() {
            return false;
        }
        rest = rest.get(length.max(1)..).unwrap_or_default();
    }
    true
}

/// How both servers describe the column of a variable that was never assigned; MySQL's has as many
/// letters of the connection's character set as 65,535 bytes take.
fn is_unset(column: ColumnType) -> bool {
    const VAR_STRING: u8 = 253;
    const MEDIUM_BLOB: u8 = 250;
    const LONG_BLOB: u8 = 251;
    const BLOB: u8 = 252;
    match column.code {
        VAR_STRING => matches!(column.length, 65_532..=65_535),
        MEDIUM_BLOB | LONG_BLOB | BLOB => column.length == 16_777_216,
        _ => false,
    }
}

fn integer_type(column: ColumnType) -> &'static [u8] {
    if column.flags & UNSIGNED != 0 { b"UNSIGNED" } else { b"SIGNED" }
}

fn put_cast(out: &mut Vec<u8>, value: &[u8], target: &[u8]) {
    out.extend_from_slice(b"CAST(");
    out.extend_from_slice(value);
    out.extend_from_slice(b" AS ");
    out.extend_from_slice(target);
    out.push(b')');
}

fn put_typed_string(out: &mut Vec<u8>, hex: &[u8], charset: &[u8], collation: &[u8]) {
    if charset == b"binary" {
        out.extend_from_slice(b"x'");
        out.extend_from_slice(hex);
        out.push(b'\'');
        return;
    }
    out.push(b'_');
    out.extend_from_slice(charset);
    out.extend_from_slice(b" x'");
    out.extend_from_slice(hex);
    out.extend_from_slice(b"' COLLATE ");
    out.extend_from_slice(collation);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn literals_recreate_the_type() {
        let number = |code, flags, v: Option<Vec<u8>>| {
            let column = ColumnType { code, flags, length: 20, collation: 45 };
            let rest = [value("31"), value("binary"), value("binary")];
            let values = [&[v][..], &rest].concat();
            literal(b"a", column, &values).map(|l| String::from_utf8_lossy(&l).into_owned())
        };
        assert_eq!(number(LONGLONG, 0, value("-5")).as_deref(), Some("-5"));
        assert_eq!(number(LONGLONG, UNSIGNED, value("5")).as_deref(), Some("CAST(5 AS UNSIGNED)"));
        assert_eq!(number(LONGLONG, 0, None).as_deref(), Some("CAST(NULL AS SIGNED)"));
        assert_eq!(number(DOUBLE, 0, value("1.5")).as_deref(), Some("1.5e0"));
        assert_eq!(number(DOUBLE, 0, value("1e100")).as_deref(), Some("1e100"));
        assert_eq!(number(NEWDECIMAL, 0, value("1.50")).as_deref(), Some("1.50"));
        assert_eq!(number(253, 0, value("1")).as_deref(), Some("x'31'"));
        assert_eq!(number(253, 0, None).as_deref(), Some("x'',@`a`=NULL"));
    }

    #[test]
    fn what_is_no_text_in_its_character_set_is_known() {
        for (charset, bytes, right) in [
            ("utf8mb4", &b"\xf0\x9f\x92\xa7"[..], true),
            ("utf8mb3", b"\xf0\x9f\x92\xa7", false),
            ("utf8mb3", b"\xc3\xa9", true),
            ("utf8mb4", b"\xf0\xf1\xf2", false),
            ("latin1", b"\xf0\xf1\xf2", true),
            ("cp1251", b"\x98", true),
            ("swe7", b"\xff", true),
            ("ascii", b"\xe9", false),
            ("ascii", b"e", true),
            ("gbk", b"\xb0\xa1z", true),
            ("gbk", b"\xb0\xa1\xff\xff", false),
            ("gbk", b"\x81", false),
            ("gb18030", b"\x81\x30\x81\x30", true),
            ("sjis", b"\xb1\x82\xa0", true),
            ("ujis", b"\xa4\xa2", true),
            ("ujis", b"\xa4", false),
            ("utf16", b"\xff\xfd", true),
        ] {
            assert_eq!(is_well_formed(charset.as_bytes(), bytes), right, "{charset} {bytes:?}");
        }
    }

    #[test]
    fn a_geometry_keeps_its_reference_system() {
        let column = ColumnType { code: GEOMETRY, flags: 0, length: 0, collation: 63 };
        let hex = value("E6100000010100000000000000000000000000000000000000");
        let values = [value("..."), hex, value("binary"), value("binary")];
        let made = literal(b"a", column, &values).unwrap();
        let expected = "ST_GEOMFROMWKB(x'010100000000000000000000000000000000000000',4326)";
        assert_eq!(String::from_utf8_lossy(&made), expected);
    }

    #[test]
    fn a_variable_that_was_never_assigned_is_not_recreated() {
        let unset = ColumnType { code: 250, flags: 0, length: 16_777_216, collation: 63 };
        let values = [None, None, value("binary"), value("binary")];
        assert_eq!(literal(b"a", unset, &values), None);
    }
}
