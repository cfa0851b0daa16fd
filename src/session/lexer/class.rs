//! What a byte may begin: the servers' `state_map`, for the lower half of every supported set.

/// What a token that begins with this byte can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Blank,
    Letter,
    Digit,
    Quote,
    Double,
    Backtick,
    At,
    Hash,
    Minus,
    Slash,
    Star,
    Dot,
    Colon,
    Dollar,
    Nul,
    High,
    Symbol,
}

/// The class of each byte.
pub(super) static CLASS: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut table = [Class::Symbol; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' => Class::Blank,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'\'' => Class::Quote,
            b'"' => Class::Double,
            b'`' => Class::Backtick,
            b'@' => Class::At,
            b'#' => Class::Hash,
            b'-' => Class::Minus,
            b'/' => Class::Slash,
            b'*' => Class::Star,
            b'.' => Class::Dot,
            b':' => Class::Colon,
            b'$' => Class::Dollar,
            0 => Class::Nul,
            0x80..=0xff => Class::High,
            _ => Class::Symbol,
        };
        byte += 1;
    }
    table
}

/// Whether a byte can go on a name: the servers' `ident_map`, with every byte from 0x80 up.
#[inline]
pub(super) fn is_name_byte(byte: u8) -> bool {
    matches!(CLASS[usize::from(byte)], Class::Letter | Class::Digit | Class::Dollar | Class::High)
}

/// The same for bytes below 0x80, of which names mostly consist.
#[inline]
pub(super) fn is_ascii_name_byte(byte: u8) -> bool {
    ASCII_NAME[usize::from(byte)]
}

static ASCII_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x80 {
        table[byte] = matches!(CLASS[byte], Class::Letter | Class::Digit | Class::Dollar);
        byte += 1;
    }
    table
};

/// Whether a byte is a blank.
#[inline]
pub(super) fn is_blank(byte: u8) -> bool {
    CLASS[usize::from(byte)] == Class::Blank
}
