//! Results in a character set of two or four bytes for each character, as a client may want them, but
//! none may write its statements in. Millpond's own questions are answered in it, too.

use super::residue::ColumnType;
use super::server::Flavor;
use super::state::Environment;

/// Such a character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wide {
    /// `ucs2`, `utf16`
    Utf16,
    /// `utf16le`
    Utf16Le,
    /// `utf32`
    Utf32,
}

/// The collation of what is not text.
const BINARY: u16 = 63;

impl Wide {
    /// That of the results of a session with this environment, if it is one.
    pub fn of(environment: &Environment) -> Option<Self> {
        match environment.separate_charsets.as_ref()?.results.as_deref()? {
            "ucs2" | "utf16" => Some(Self::Utf16),
            "utf16le" => Some(Self::Utf16Le),
            "utf32" => Some(Self::Utf32),
            _ => None,
        }
    }

    /// Whether the values of such a column are written in it.
    pub fn covers(self, column: &ColumnType, flavor: Flavor) -> bool {
        // MariaDB writes numbers so, too, and does not say it.
        let bytes = matches!(column.code, 15 | 249..=255);
        column.collation != BINARY || (flavor == Flavor::MariaDb && !bytes)
    }

    /// The text in UTF-8.
    pub fn decode(self, text: &[u8]) -> Vec<u8> {
        let decoded: String = match self {
            Self::Utf16 | Self::Utf16Le => {
                let (units, _) = text.as_chunks::<2>();
                let unit = |unit: &[u8; 2]| match self {
                    Self::Utf16Le => u16::from_le_bytes(*unit),
                    _ => u16::from_be_bytes(*unit),
                };
                let text = char::decode_utf16(units.iter().map(unit));
                text.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
            Self::Utf32 => {
                let (units, _) = text.as_chunks::<4>();
                let text = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit)));
                text.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
        };
        decoded.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_text_is_read() {
        assert_eq!(Wide::Utf16.decode(b"\0u\x20\xAC\xD8\x3D\xDE\x00"), "u€😀".as_bytes());
        assert_eq!(Wide::Utf16Le.decode(b"u\0\xAC\x20"), "u€".as_bytes());
        assert_eq!(Wide::Utf32.decode(b"\0\0\0u\0\0\x20\xAC"), "u€".as_bytes());
    }

    #[test]
    fn what_is_not_text_is_left_alone() {
        let column = |code, collation| ColumnType { code, flags: 0, length: 0, collation };
        for (column, mysql, mariadb) in [
            (column(253, 54), true, true),
            (column(253, BINARY), false, false),
            (column(8, BINARY), false, true),
        ] {
            assert_eq!(Wide::Utf16.covers(&column, Flavor::MySql), mysql, "{column:?}");
            assert_eq!(Wide::Utf16.covers(&column, Flavor::MariaDb), mariadb, "{column:?}");
        }
    }
}
