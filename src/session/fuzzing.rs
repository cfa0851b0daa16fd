//! What a fuzz target does with arbitrary text: the reader of statements must come to an end
//! without a panic, under every mode and character set.

use super::catalogue::Catalogue;
use super::server::ServerVersion;
use super::statement::{Dialect, analyze};

/// Statements of a client.
pub fn statement(bytes: &[u8]) {
    let Some((&first, sql)) = bytes.split_first() else { return };
    let version = if first & 1 == 0 { &b"9.7.4"[..] } else { b"10.11.19-MariaDB" };
    let mode: &[u8] = match first >> 1 & 3 {
        0 => b"",
        1 => b"ANSI_QUOTES",
        2 => b"NO_BACKSLASH_ESCAPES",
        _ => b"ANSI_QUOTES,NO_BACKSLASH_ESCAPES",
    };
    let charset = ["utf8mb4", "gbk", "sjis", "big5", "gb18030"][usize::from(first >> 3) % 5];
    let dialect = Dialect::new(&ServerVersion::parse(version), mode, charset);
    let _ = analyze(sql, &dialect, &Catalogue::default());
}
