//! Values with units: durations (`"250ms"`), sizes (`"64KiB"`), shares (`"80%"`).

use std::fmt;
use std::time::Duration;

/// Reads a duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`.
///
/// `"0"` alone is zero: nothing has no unit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if number == 0 => 0,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// Reads a size in bytes: a whole number and one of `B`, `KiB`, `MiB`, `GiB`.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(bytes)
}

/// Reads a share: a whole number from 1 to 100 and `%`.
pub(super) fn parse_percent(text: &str) -> Option<u8> {
    match split(text)? {
        (number @ 1..=100, "%") => u8::try_from(number).ok(),
        _ => None,
    }
}

/// A duration in the largest unit that divides it.
pub(super) struct ShownDuration(pub(super) Duration);

impl fmt::Display for ShownDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        let (unit, name) =
            [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")]
                .into_iter()
                .find(|(unit, _)| milliseconds >= *unit && milliseconds.is_multiple_of(*unit))
                .unwrap_or((1, ""));
        write!(f, "{}{name}", milliseconds / unit)
    }
}

/// A size in the largest unit that divides it.
pub(super) struct ShownSize(pub(super) u64);

impl fmt::Display for ShownSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
            .into_iter()
            .find(|(unit, _)| self.0 >= *unit && self.0.is_multiple_of(*unit))
            .unwrap_or((1, "B"));
        write!(f, "{}{name}", self.0 / unit)
    }
}

/// A whole number and what follows it.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in
            [("0", 0), ("0s", 0), ("250ms", 250), ("5s", 5_000), ("30m", 1_800_000)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "s", "5 s", "-5s", "1.5s", "5sec", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_duration("18446744073709551615d"), None, "an overflow is refused");
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("64KiB"), Some(65_536));
        assert_eq!(parse_size("1GiB"), Some(1 << 30));
        assert_eq!(parse_size("12B"), Some(12));
        for text in ["", "64", "64kb", "64KB", "KiB", "18446744073709551615GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn shares() {
        assert_eq!(parse_percent("1%"), Some(1));
        assert_eq!(parse_percent("100%"), Some(100));
        for text in ["0%", "101%", "80", "%", "8 %", "1e1%", "256%"] {
            assert_eq!(parse_percent(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["250ms", "5s", "90s", "30m", "1h", "7d", "0"] {
            let value = parse_duration(text).unwrap();
            assert_eq!(ShownDuration(value).to_string(), text);
        }
        for text in ["1B", "64KiB", "64MiB", "1GiB", "1025B"] {
            assert_eq!(ShownSize(parse_size(text).unwrap()).to_string(), text);
        }
    }
}
