//! How a client character set tells characters apart, as far as a tokenizer must know.

/// The classes of `character_set_client` that tokenize differently.
///
/// What matters is whether a byte that looks like a quote, a backslash or a backtick can be the
/// second half of a character, and whether a byte from 0x80 up can be part of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Charset {
    /// utf8mb3 and utf8mb4: bytes below 0x80 are always characters of their own.
    Utf8,
    /// latin1: letters from 0xC0 up, a blank at 0xA0.
    Latin1,
    /// EUC codes (euckr, gb2312, ujis, eucjpms): second bytes are never quotes or backslashes.
    Euc,
    /// big5.
    Big5,
    /// gbk.
    Gbk,
    /// gb18030.
    Gb18030,
    /// sjis and cp932.
    Sjis,
    /// Any other set of one byte for each character: which bytes are letters is not known here.
    SingleByte,
    /// A set that is not known, or one whose lower half is not ASCII (swe7).
    Unknown,
}

impl Charset {
    /// The class of a character set's name, as `@@character_set_client` spells it, in any case.
    pub fn from_name(name: &[u8]) -> Self {
        const NAMES: &[(&[u8], Charset)] = &[
            (b"utf8mb4", Charset::Utf8),
            (b"utf8mb3", Charset::Utf8),
            (b"utf8", Charset::Utf8),
            (b"latin1", Charset::Latin1),
            (b"euckr", Charset::Euc),
            (b"gb2312", Charset::Euc),
            (b"ujis", Charset::Euc),
            (b"eucjpms", Charset::Euc),
            (b"big5", Charset::Big5),
            (b"gbk", Charset::Gbk),
            (b"gb18030", Charset::Gb18030),
            (b"sjis", Charset::Sjis),
            (b"cp932", Charset::Sjis),
            (b"armscii8", Charset::SingleByte),
            (b"ascii", Charset::SingleByte),
            (b"binary", Charset::SingleByte),
            (b"cp1250", Charset::SingleByte),
            (b"cp1251", Charset::SingleByte),
            (b"cp1256", Charset::SingleByte),
            (b"cp1257", Charset::SingleByte),
            (b"cp850", Charset::SingleByte),
            (b"cp852", Charset::SingleByte),
            (b"cp866", Charset::SingleByte),
            (b"dec8", Charset::SingleByte),
            (b"geostd8", Charset::SingleByte),
            (b"greek", Charset::SingleByte),
            (b"hebrew", Charset::SingleByte),
            (b"hp8", Charset::SingleByte),
            (b"keybcs2", Charset::SingleByte),
            (b"koi8r", Charset::SingleByte),
            (b"koi8u", Charset::SingleByte),
            (b"latin2", Charset::SingleByte),
            (b"latin5", Charset::SingleByte),
            (b"latin7", Charset::SingleByte),
            (b"macce", Charset::SingleByte),
            (b"macroman", Charset::SingleByte),
            (b"tis620", Charset::SingleByte),
        ];
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or(Self::Unknown, |(_, charset)| *charset)
    }

    /// Whether a byte below 0x80 is always a character of its own, so that quoted text can be
    /// searched for its end without decoding it.
    pub fn is_plain(self) -> bool {
        !matches!(self, Self::Big5 | Self::Gbk | Self::Gb18030 | Self::Sjis | Self::Unknown)
    }

    /// The length of the character of several bytes that `bytes` starts with; 0 when the first
    /// byte stands alone, be it ASCII or an incomplete character. Only for sets that are not
    /// [plain](Self::is_plain).
    pub fn wide_length(self, bytes: &[u8]) -> usize {
        let Some(&lead) = bytes.first() else { return 0 };
        let trail = bytes.get(1).copied().unwrap_or(0);
        let double = match self {
            Self::Big5 => matches!(lead, 0xa1..=0xf9) && matches!(trail, 0x40..=0x7e | 0xa1..=0xfe),
            Self::Gbk => matches!(lead, 0x81..=0xfe) && matches!(trail, 0x40..=0x7e | 0x80..=0xfe),
            Self::Gb18030 => {
                if matches!(bytes, [0x81..=0xfe, 0x30..=0x39, 0x81..=0xfe, 0x30..=0x39, ..]) {
                    return 4;
                }
                matches!(lead, 0x81..=0xfe) && matches!(trail, 0x40..=0x7e | 0x80..=0xfe)
            }
            Self::Sjis => {
                matches!(lead, 0x81..=0x9f | 0xe0..=0xfc)
                    && matches!(trail, 0x40..=0x7e | 0x80..=0xfc)
            }
            Self::Utf8 | Self::Latin1 | Self::Euc | Self::SingleByte | Self::Unknown => false,
        };
        if double { 2 } else { 0 }
    }
}
