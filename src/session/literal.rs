//! Writes values as SQL literals that mean the same under any `sql_mode` and client character set.

use std::fmt::Write as _;

/// Appends the value of a system variable, as a tracker reported it, as the right side of a SET.
///
/// Numbers stay bare, since numeric variables refuse strings; everything else is quoted, which
/// booleans (`'ON'`) and enumerations accept as well as strings do.
pub fn put_variable(out: &mut Vec<u8>, value: &[u8]) {
    if is_number(value) {
        out.extend_from_slice(value);
    } else {
        put_string(out, value);
    }
}

/// Appends a string: quoted where every server reads it alike, otherwise in hexadecimal with its
/// character set named (a backslash means different things under different modes, and bytes
/// beyond ASCII under different character sets).
pub fn put_string(out: &mut Vec<u8>, value: &[u8]) {
    let plain = |b: &u8| (0x20..0x7F).contains(b) && *b != b'\'' && *b != b'\\';
    if value.iter().all(plain) {
        out.push(b'\'');
        out.extend_from_slice(value);
        out.push(b'\'');
    } else {
        out.extend_from_slice(b"_utf8mb4 ");
        put_hex(out, value);
    }
}

/// Appends bytes as a hexadecimal literal, `x'…'`.
pub fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut text = String::with_capacity(bytes.len() * 2 + 3);
    text.push_str("x'");
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02X}");
    }
    text.push('\'');
    out.extend_from_slice(text.as_bytes());
}

/// Appends an identifier in backticks.
pub fn put_identifier(out: &mut Vec<u8>, name: &[u8]) {
    out.push(b'`');
    for &byte in name {
        if byte == b'`' {
            out.push(b'`');
        }
        out.push(byte);
    }
    out.push(b'`');
}

fn is_number(value: &[u8]) -> bool {
    let unsigned = value.strip_prefix(b"-").unwrap_or(value);
    let mut dots = 0;
    !unsigned.is_empty()
        && unsigned.len() <= 40
        && unsigned[0].is_ascii_digit()
        && unsigned.iter().all(|b| {
            dots += usize::from(*b == b'.');
            b.is_ascii_digit() || *b == b'.'
        })
        && dots <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(value: &[u8]) -> String {
        let mut out = Vec::new();
        put_variable(&mut out, value);
        String::from_utf8(out).expect("literals are ASCII")
    }

    #[test]
    fn numbers_are_bare_and_everything_else_is_quoted() {
        for number in ["0", "28800", "10.000000", "-1", "18446744073709551615"] {
            assert_eq!(variable(number.as_bytes()), number);
        }
        assert_eq!(variable(b"ON"), "'ON'");
        assert_eq!(variable(b""), "''");
        assert_eq!(variable(b"+02:00"), "'+02:00'");
        assert_eq!(variable(b"1.2.3"), "'1.2.3'");
        assert_eq!(variable(b"-"), "'-'");
        assert_eq!(variable(b"4G"), "'4G'");
    }

    #[test]
    fn quotes_backslashes_and_other_alphabets_are_written_in_hexadecimal() {
        assert_eq!(variable(b"a'b"), "_utf8mb4 x'612762'");
        assert_eq!(variable(b"\\"), "_utf8mb4 x'5C'");
        assert_eq!(variable("é".as_bytes()), "_utf8mb4 x'C3A9'");
    }

    #[test]
    fn backticks_in_names_are_doubled() {
        let mut out = Vec::new();
        put_identifier(&mut out, b"a`b");
        assert_eq!(out, b"`a``b`");
    }
}
