//! What an execution gives a parameter.

use crate::wire::capability::Capabilities;
use crate::wire::command::{Bound, CommandCode, PARAMETER_COUNT_AVAILABLE};
use crate::wire::frame::put_lenenc_int;
use bytes::{BufMut, BytesMut};

/// The kind of a value, as far as the server tells values apart before it looks at its statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Given {
    /// NULL
    Null,
    /// A whole number with a sign.
    Signed,
    /// A whole number without.
    Unsigned,
    /// A `FLOAT` or `DOUBLE`.
    Double,
    /// A `DECIMAL`.
    Decimal,
    /// A text in the client's character set.
    Text(Reads),
    /// Bytes.
    Binary(Reads),
    /// A date.
    Date,
    /// A time.
    Time,
    /// A date with a time.
    DateTime,
}

/// What a text reads like, which matters where no text is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reads {
    /// `0` to `999999999999999999`
    Digits,
    /// `-7`, `1.5`
    Number,
    /// `2020-05-01`
    Date,
    /// `2020-05-01 10:00:00`, perhaps with a fraction.
    DateTime,
    /// Nothing of that: empty, or begins with a letter.
    Word,
    /// Anything else: what the server makes of it is not known.
    Other,
}

impl Reads {
    fn of(text: &[u8]) -> Self {
        match text {
            [] => return Self::Word,
            // "inf" and "nan" are left to the server.
            [b'i' | b'I' | b'n' | b'N', ..] => return Self::Other,
            [first, ..] if first.is_ascii_alphabetic() => return Self::Word,
            _ => {}
        }
        let digits = |text: &[u8], most: usize| {
            (1..=most).contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
        };
        if digits(text, 18) {
            return Self::Digits;
        }
        if is_date(text) {
            return Self::Date;
        }
        if let (Some(date), Some(b' '), Some(time)) = (text.get(..10), text.get(10), text.get(11..))
            && is_date(date)
            && is_time(time)
        {
            return Self::DateTime;
        }
        let number = text.strip_prefix(b"-").unwrap_or(text);
        let is_number = match number.iter().position(|byte| *byte == b'.') {
            Some(dot) => digits(&number[..dot], 18) && digits(&number[dot + 1..], 18),
            None => digits(number, 18),
        };
        if is_number { Self::Number } else { Self::Other }
    }
}

/// A date that exists in every year and month.
fn is_date(text: &[u8]) -> bool {
    let &[a, b, c, d, b'-', e, f, b'-', g, h] = text else { return false };
    let number = |tens: u8, ones: u8| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        digits.then(|| (tens - b'0') * 10 + (ones - b'0'))
    };
    let is = |of: Option<u8>, most: u8| of.is_some_and(|number| (1..=most).contains(&number));
    is(number(a, b), 99) && number(c, d).is_some() && is(number(e, f), 12) && is(number(g, h), 28)
}

fn is_time(text: &[u8]) -> bool {
    let (time, fraction) = match text.get(8..) {
        Some([]) => (text, &[][..]),
        Some([b'.', fraction @ ..]) if (1..=6).contains(&fraction.len()) => (&text[..8], fraction),
        _ => return false,
    };
    let digit = |at: usize, most: u8| (b'0'..=most).contains(&time[at]);
    let hour = digit(0, b'1') && digit(1, b'9') || time[0] == b'2' && digit(1, b'3');
    hour && time[2] == b':'
        && time[5] == b':'
        && [3, 6].iter().all(|at| digit(*at, b'5'))
        && [4, 7].iter().all(|at| digit(*at, b'9'))
        && fraction.iter().all(u8::is_ascii_digit)
}

impl Given {
    /// What a parameter of an execution was given.
    pub fn of(bound: &Bound<'_>) -> Self {
        let Some(value) = bound.value else { return Self::Null };
        match bound.kind {
            1 | 2 | 3 | 8 | 9 | 13 if bound.is_unsigned => Self::Unsigned,
            1 | 2 | 3 | 8 | 9 | 13 => Self::Signed,
            4 | 5 => Self::Double,
            0 | 246 => Self::Decimal,
            10 => Self::Date,
            11 => Self::Time,
            7 | 12 => Self::DateTime,
            249..=252 => Self::Binary(Reads::of(value)),
            _ => Self::Text(Reads::of(value)),
        }
    }

    /// Whether it is text or bytes.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text(_) | Self::Binary(_))
    }

    /// Whether the server may make something else of it the next time.
    pub fn is_uncertain(self) -> bool {
        matches!(self, Self::Text(Reads::Other) | Self::Binary(Reads::Other))
    }

    /// Two bytes that say its type.
    fn kind(self) -> [u8; 2] {
        match self {
            Self::Null => [6, 0],
            Self::Signed => [8, 0],
            Self::Unsigned => [8, 0x80],
            Self::Double => [5, 0],
            Self::Decimal => [246, 0],
            Self::Text(_) => [253, 0],
            Self::Binary(_) => [252, 0],
            Self::Date => [10, 0],
            Self::Time => [11, 0],
            Self::DateTime => [12, 0],
        }
    }

    fn put_value(self, out: &mut BytesMut) {
        let text = |out: &mut BytesMut, value: &[u8]| {
            out.put_u8(u8::try_from(value.len()).unwrap_or(0));
            out.put_slice(value);
        };
        match self {
            Self::Null => {}
            Self::Signed | Self::Unsigned | Self::Double => out.put_u64_le(0),
            Self::Decimal => text(out, b"0"),
            Self::Text(reads) | Self::Binary(reads) => text(
                out,
                match reads {
                    Reads::Digits => b"0",
                    Reads::Number => b"-1",
                    Reads::Date => b"2020-01-01",
                    Reads::DateTime => b"2020-01-01 00:00:00",
                    Reads::Word | Reads::Other => b"",
                },
            ),
            Self::Date => out.put_slice(&[4, 0xE4, 7, 1, 1]),
            Self::Time => out.put_u8(0),
            Self::DateTime => out.put_slice(&[7, 0xE4, 7, 1, 1, 0, 0, 0]),
        }
    }
}

/// Appends the payload of a `COM_STMT_EXECUTE` with values of these kinds, for a server with these
/// capabilities.
pub fn put_execute(out: &mut BytesMut, capabilities: Capabilities, id: u32, given: &[Given]) {
    let named = capabilities.has(Capabilities::QUERY_ATTRIBUTES);
    out.put_u8(CommandCode::StmtExecute.byte());
    out.put_u32_le(id);
    out.put_u8(if named { PARAMETER_COUNT_AVAILABLE } else { 0 });
    out.put_u32_le(1);
    if named {
        put_lenenc_int(out, given.len() as u64);
    }
    let bitmap = out.len();
    out.put_bytes(0, given.len().div_ceil(8));
    out.put_u8(1);
    for (at, given) in given.iter().enumerate() {
        if *given == Given::Null {
            out[bitmap + at / 8] |= 1 << (at % 8);
        }
        out.put_slice(&given.kind());
        if named {
            out.put_u8(0);
        }
    }
    given.iter().for_each(|given| given.put_value(out));
}
