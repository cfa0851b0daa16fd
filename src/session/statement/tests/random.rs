//! Any bytes at all.

use proptest::prelude::*;

use super::*;
use crate::session::catalogue::{Body, Builder};

fn any_dialect() -> impl Strategy<Value = Dialect> {
    const CHARSETS: &[&str] =
        &["utf8mb4", "latin1", "gbk", "sjis", "big5", "gb18030", "euckr", "cp1251", "?"];
    let flags = any::<(bool, bool, bool, bool, bool)>();
    (flags, proptest::sample::select(CHARSETS)).prop_map(|(flags, charset)| {
        let (maria, ansi, plain, oracle, multi) = flags;
        let flavor = if maria { Flavor::MariaDb } else { Flavor::MySql };
        Dialect {
            ansi_quotes: ansi,
            no_backslash_escapes: plain,
            oracle,
            multi_statements: multi,
            ..dialect(flavor).with_charset(charset.as_bytes())
        }
    })
}

/// Pieces of statements in any order, so that more than the first branch is reached.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = [
        "select",
        "set",
        "@a",
        "@@",
        "@@session.",
        ":=",
        "=",
        "(",
        ")",
        ",",
        ";",
        "'a'",
        "\"b\"",
        "`c`",
        "'",
        "\"",
        "`",
        "/*",
        "*/",
        "/*!",
        "/*!50000 ",
        "/*M!100000 ",
        "/*+",
        "--",
        "-- ",
        "#",
        "\n",
        "get_lock",
        "last_insert_id",
        "create",
        "temporary",
        "table",
        "drop",
        "if",
        "exists",
        "into",
        "prepare",
        "execute",
        "immediate",
        "from",
        "names",
        "default",
        "statement",
        "for",
        "procedure",
        "begin",
        "end",
        "1",
        "1.5",
        "1e",
        "0x1",
        "x'",
        ".",
        "$$",
        "$a$",
        "\\",
        "\0",
        "rename",
        "to",
        "call",
        "handler",
        "open",
        "kill",
        "with",
        "as",
    ]
    .iter()
    .map(|piece| piece.as_bytes())
    .chain([&b"\x81"[..], b"\x5c", b"\xc3\xa9", b"\xff", b"\x81\x30\x81\x30"])
    .collect();
    let piece = (proptest::sample::select(pieces), any::<bool>());
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| {
        let mut sql = Vec::new();
        for (piece, blank) in pieces {
            sql.extend_from_slice(piece);
            if blank {
                sql.push(b' ');
            }
        }
        sql
    })
}

fn reads_anything(sql: &[u8], dialect: &Dialect) {
    let mut builder = Builder::new(dialect);
    builder.routine(
        b"c",
        crate::session::catalogue::RoutineKind::Function,
        Body::Sql { text: sql, sql_mode: b"" },
    );
    builder.view(b"a", sql);
    let catalogue = builder.build();
    for catalogue in [&Catalogue::empty(), &Catalogue::default(), &catalogue] {
        let analysis = analyze(sql, dialect, catalogue);
        assert!(analysis.count > 0 || analysis.marks.is_empty());
        if analysis.marks.has(Marks::PURE_READ) {
            assert!(!analysis.marks.intersects(Marks::OPAQUE | Marks::IMPURE));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(sql in proptest::collection::vec(any::<u8>(), 0..200),
                          dialect in any_dialect()) {
        reads_anything(&sql, &dialect);
    }

    #[test]
    fn any_pieces_are_read(sql in soup(), dialect in any_dialect()) {
        reads_anything(&sql, &dialect);
    }

    /// Whatever is in front of it, a statement that is found alone is found behind a semicolon.
    #[test]
    fn a_later_statement_is_not_missed(sql in soup(), maria in any::<bool>()) {
        let flavor = if maria { Flavor::MariaDb } else { Flavor::MySql };
        let dialect = Dialect { multi_statements: true, ..dialect(flavor) };
        let mut text = sql.clone();
        text.extend_from_slice(b" ; set role r");
        let both = analyze(&text, &dialect, &Catalogue::empty());
        let first = analyze(&sql, &dialect, &Catalogue::empty());
        prop_assert!(
            both.marks.intersects(Marks::SET_ROLE | Marks::OPAQUE)
                || first.marks.has(Marks::OPAQUE)
                // The comment took it.
                || text.windows(3).any(|part| part == b"-- ")
                || text.contains(&b'#')
        );
    }
}
