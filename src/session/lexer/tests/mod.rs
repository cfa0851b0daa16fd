//! Where tokens begin and end.

mod oracle;

use proptest::prelude::*;

use super::*;
use crate::session::server::{Flavor, ServerVersion};
use TokenKind as T;

fn mysql() -> Dialect {
    let text = String::new();
    let version = ServerVersion { flavor: Flavor::MySql, number: (9, 7, 4), text };
    Dialect::new(&version, b"", "utf8mb4")
}

fn mariadb() -> Dialect {
    let text = String::new();
    let version = ServerVersion { flavor: Flavor::MariaDb, number: (10, 11, 19), text };
    Dialect::new(&version, b"", "utf8mb4")
}

fn tokens<'a>(sql: &'a [u8], dialect: &Dialect) -> Vec<(TokenKind, &'a [u8])> {
    let mut lexer = Lexer::new(sql, dialect);
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next_token();
        if token.kind == T::End {
            assert_eq!(lexer.next_token().kind, T::End);
            return tokens;
        }
        tokens.push((token.kind, token.text(sql)));
    }
}

/// Compares the tokens' texts, joined by `|`; a kind that matters is checked elsewhere.
#[track_caller]
fn split(dialect: &Dialect, sql: &[u8], expected: &[u8]) {
    let texts: Vec<&[u8]> = tokens(sql, dialect).into_iter().map(|(_, text)| text).collect();
    let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
    assert_eq!(shown(&texts.join(&b'|')), shown(expected), "{}", shown(sql));
}

#[track_caller]
fn opaque(dialect: &Dialect, sql: &[u8]) {
    let last = tokens(sql, dialect).last().map(|(kind, _)| *kind);
    assert_eq!(last, Some(T::Opaque), "{}", sql.escape_ascii());
}

#[track_caller]
fn kinds(dialect: &Dialect, sql: &[u8], expected: &[TokenKind]) {
    let kinds: Vec<_> = tokens(sql, dialect).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, expected, "{}", sql.escape_ascii());
}

#[test]
fn words_and_symbols() {
    let d = &mysql();
    split(d, b"select a,b from t", b"select|a|,|b|from|t");
    split(d, b"a$b _c \xc3\xa9t\xc3\xa9", b"a$b|_c|\xc3\xa9t\xc3\xa9");
    split(d, b"a.b . c", b"a|.|b|.|c");
    split(d, b"a.1b c.5", b"a|.|1b|c|.|5");
    split(d, b"1a 1e5b 0xg 0b2 1e", b"1a|1e5|b|0xg|0b2|1e");
    split(d, b"a:=b :c", b"a|:=|b|:|c");
    split(d, b"a\x0bb\x0cc", b"a|b|c");
    split(d, b"a>=b<=>c||d", b"a|>|=|b|<|=|>|c|||||d");
    kinds(d, b"a `b` 'c' 1", &[T::Word, T::Quoted, T::Text, T::Number]);
    opaque(d, b"a\0b");
}

#[test]
fn a_nul_ends_the_text_only_as_its_last_byte() {
    let d = &mysql();
    split(d, b"select 1\0", b"select|1");
    split(d, b"select 1 \0 ;\n; ", b"select|1");
    split(d, b"select 'a' # b\0", b"select|'a'");
    split(d, b"select 1; select @a\0", b"select|1|;|select|@a");
    for error in ["\0", "\0a", "a\0\0", "a\0 b", "a; \0", "a /*! b \0"] {
        opaque(d, error.as_bytes());
    }
}

#[test]
fn numbers() {
    let d = &mysql();
    for number in ["1", "123", "1.5", "1.", ".5", "1e5", "1E+5", "1.5e-3", ".5e5"] {
        kinds(d, number.as_bytes(), &[T::Number]);
    }
    for bits in ["0x4F", "0b01", "x'4F'", "X'4f'", "b'01'", "B''"] {
        kinds(d, bits.as_bytes(), &[T::Bits]);
    }
    for word in ["0X4F", "0B1", "0x", "0xfg", "1ab", "1_", "1e", "1e+", "12e_"] {
        assert_eq!(tokens(word.as_bytes(), d)[0].0, T::Word, "{word}");
    }
    split(d, b"1e+ 1e+5", b"1e|+|1e+5");
    split(d, b"1..2", b"1.|.2");
    split(&mariadb(), b"1..2", b"1|.|.2");
    opaque(d, b"1.5e");
    opaque(d, b"1.5e-- 2");
    opaque(d, b"x'4g'");
    opaque(d, b"b'2'");
    opaque(d, b"x'41");
}

#[test]
fn strings() {
    let d = &mysql();
    for text in [
        "'a'",
        "''",
        "'a''b'",
        "'a\\'b'",
        "'\\\\'",
        "\"a\"",
        "\"a\"\"b\"",
        "\"a'b\"",
        "'a\"b'",
        "N'a'",
        "n'a\\'b'",
        "'--'",
        "'/*'",
        "'a\nb'",
        "'\0'",
    ] {
        kinds(d, text.as_bytes(), &[T::Text]);
    }
    kinds(d, b"_utf8mb4'a' 'b'", &[T::Word, T::Text, T::Text]);
    kinds(d, b"n\"a\"", &[T::Word, T::Text]);
    kinds(d, b"x\"41\"", &[T::Word, T::Text]);
    for open in ["'a", "'", "'a''", "'a\\'", "\"a", "n'", "'a\\"] {
        opaque(d, open.as_bytes());
    }
    let plain = Dialect { no_backslash_escapes: true, ..*d };
    split(&plain, b"'\\' a '\\\\'", b"'\\'|a|'\\\\'");
    opaque(&plain, b"'\\''");
}

#[test]
fn quoted_names() {
    let d = &mysql();
    for name in ["`a`", "`a``b`", "``", "`a\\`", "`'`", "`/*`"] {
        kinds(d, name.as_bytes(), &[T::Quoted]);
    }
    opaque(d, b"`a");
    opaque(d, b"`a\0b`");
    let ansi = Dialect { ansi_quotes: true, ..*d };
    kinds(&ansi, b"\"a\\\" \"b\"\"c\" 'd'", &[T::Quoted, T::Quoted, T::Text]);
    assert_eq!(&*unquoted(b"`a``b`"), b"a`b");
    assert_eq!(&*unquoted(b"\"a\"\"b\""), b"a\"b");
    assert_eq!(&*unquoted(b"a"), b"a");
}

#[test]
fn variables() {
    let d = &mysql();
    for name in ["@a", "@a.b$c_1", "@`a b`", "@'a'", "@\"a\\\"b\"", "@", "@1", "@''"] {
        kinds(d, name.as_bytes(), &[T::UserVariable]);
    }
    split(d, b"@a:=@b", b"@a|:=|@b");
    split(d, b"@ a", b"@|a");
    split(d, b"@@a @@session.b @@`c` @@global . d", b"@@|a|@@|session|.|b|@@|`c`|@@|global|.|d");
    split(d, b"a@b 'a'@'b'", b"a|@b|'a'|@'b'");
    for broken in ["@@", "@@ a", "@@'a'", "@@\"a\"", "@'a", "@`a", "@\u{e9}"] {
        opaque(d, broken.as_bytes());
    }
    for (token, name) in
        [("@A", "a"), ("@`A``B`", "a`b"), ("@'A''B'", "a'b"), ("@\"a\\nB  \"", "a\nb"), ("@", "")]
    {
        assert_eq!(user_variable_name(token.as_bytes(), d), name.as_bytes(), "{token}");
    }
}

#[test]
fn comments() {
    let d = &mysql();
    for comment in
        ["-- x", "--", "--\n", "--\tx", "--\x01x", "# x", "#", "/* x */", "/**/", "/***/"]
    {
        split(d, comment.as_bytes(), b"");
    }
    split(d, b"a-- b\nc", b"a|c");
    split(d, b"a--b", b"a|-|-|b");
    split(d, b"a---- b\nc", b"a|-|-|c");
    split(d, b"a#b\nc", b"a|c");
    split(d, b"a/* ' */b", b"a|b");
    split(d, b"a/* /* */b*/", b"a|b|*|/");
    split(d, b"/*M! a */b", b"b");
    split(d, b"a*/b", b"a|*|/|b");
    opaque(d, b"/* x");
    opaque(d, b"/*/");
    opaque(d, b"-- a\0b\nc");
}

#[test]
fn comments_of_code() {
    let d = &mysql();
    split(d, b"/*! a */b", b"a|b");
    split(d, b"/*!50700 a*/", b"a");
    split(d, b"/*!50700a*/", b"a");
    split(d, b"/*!90704 a*/b", b"a|b");
    split(d, b"/*!90705 a*/b", b"b");
    split(d, b"/*!090704 a*/b", b"a|b");
    split(d, b"/*!090705 a*/b", b"b");
    split(d, b"/*!100000 a*/b", b"b");
    split(d, b"/*!100000a*/b", b"0a|b");
    split(d, b"/*!5070 a*/b", b"5070|a|b");
    split(d, b"/*!99999 ' /* ' */ x */b", b"b");
    split(d, b"/*!50000 a /* ' */ b*/c", b"a|b|c");
    split(d, b"/*!50000 a /*!50000 b*/ c", b"a|b|c");
    split(d, b"/*! '*/' */", b"'*/'");
    opaque(d, b"/*! a");
    opaque(d, b"/*!99999 a");
    opaque(d, b"/*!99999 a /* b */");
    let old = Dialect { version: 80_036, ..*d };
    split(&old, b"/*!80036 a*/b", b"a|b");
    opaque(&old, b"/*!080036 a*/b");
    let maria = &mariadb();
    split(maria, b"/*!50600 a*/b", b"a|b");
    split(maria, b"/*!50700 a*/b", b"b");
    split(maria, b"/*M!50700 a*/b", b"a|b");
    split(maria, b"/*m!50700 a*/b", b"b");
    split(maria, b"/*!100000a*/b", b"a|b");
    split(maria, b"/*!101119 a*/b", b"a|b");
    split(maria, b"/*!101120 a*/b", b"b");
    split(maria, b"/*M! a*/b", b"a|b");
    opaque(maria, b"/*!99997 a*/b");
}

#[test]
fn hints() {
    let d = &mysql();
    kinds(d, b"select /*+ X(a) */ 1", &[T::Word, T::Hint, T::Number]);
    kinds(d, b"select /*+ X('a') */ 1", &[T::Word, T::Hint, T::Number]);
    opaque(d, b"select /*+ X('a */ ') */ 1");
    opaque(d, b"select /*+ X");
}

#[test]
fn dollar_texts() {
    let d = &mysql();
    kinds(d, b"$$ a'b $$ $a$ ; $$ $a$", &[T::Dollar, T::Dollar]);
    kinds(d, b"a$$b $a", &[T::Word, T::Word]);
    opaque(d, b"$$ a");
    opaque(d, b"$a$ x $a");
    // The server doesn't begin anew at a dollar on which a tag went wrong.
    opaque(d, b"$a$ x $$a$");
    kinds(&mariadb(), b"$$ a", &[T::Word, T::Word]);
    opaque(&Dialect { version: 80_036, ..*d }, b"$$ a $$");
}

#[test]
fn character_sets_of_several_bytes() {
    let with = |name: &[u8]| mysql().with_charset(name);
    let sets = [(&b"gbk"[..], 0xa4), (b"sjis", 0x95), (b"cp932", 0x95), (b"big5", 0xa4)];
    for (set, lead) in sets.into_iter().chain([(&b"gb18030"[..], 0xa4)]) {
        let d = &with(set);
        let character = |text: &[u8]| -> Vec<u8> {
            text.iter().map(|&byte| if byte == b'^' { lead } else { byte }).collect()
        };
        let check = |sql: &[u8], expected: &[u8]| split(d, &character(sql), &character(expected));
        // The second half of this character looks like a backslash, and of this like a backtick.
        check(b"'^\x5c' a", b"'^\x5c'|a");
        check(b"`^\x60` a", b"`^\x60`|a");
        // A quote is never half a character.
        check(b"'^' a", b"'^'|a");
    }
    split(&with(b"gbk"), b"'\\\x81\x5c' a'", b"'\\\x81\x5c' a'");
    split(&with(b"gb18030"), b"'\x81\x30\x81\x30' a", b"'\x81\x30\x81\x30'|a");
    split(&with(b"utf8mb4"), b"'\xa4\x5c' a'", b"'\xa4\x5c' a'");
    split(&with(b"sjis"), b"\x83\x5c\x83\x5c a", b"\x83\x5c\x83\x5c|a");
    split(&with(b"latin1"), b"gr\xf6\xdfe a", b"gr\xf6\xdfe|a");
    opaque(&with(b"latin1"), b"a\xa0b");
    opaque(&with(b"gbk"), b"a\x81\x20");
    opaque(&with(b"cp1251"), b"a\xe0");
    split(&with(b"cp1251"), b"'\xe0' a", b"'\xe0'|a");
    opaque(&with(b"swe7"), b"'`'");
    opaque(&with(b"nonsense"), b"a");
}

#[test]
fn values_of_strings() {
    let d = &mysql();
    for (token, value) in [
        (&b"'a'"[..], &b"a"[..]),
        (b"n'a'", b"a"),
        (b"'a''b'", b"a'b"),
        (b"\"a\"\"b\"", b"a\"b"),
        (b"'\\n\\t\\r\\b\\0\\Z\\%\\_\\x\\\\\\''", b"\n\t\r\x08\0\x1a\\%\\_x\\'"),
        (b"''", b""),
    ] {
        assert_eq!(&*text_value(token, d), value, "{}", token.escape_ascii());
    }
    assert_eq!(&*text_value(b"'\\n'", &Dialect { no_backslash_escapes: true, ..*d }), b"\\n");
    assert_eq!(&*text_value(b"'\x81\x5cn\\n'", &d.with_charset(b"gbk")), b"\x81\x5cn\n");
}

#[test]
fn modes() {
    let d = mysql().with_sql_mode(b"ONLY_FULL_GROUP_BY,ANSI_QUOTES,NO_BACKSLASH_ESCAPES");
    assert!(d.ansi_quotes && d.no_backslash_escapes && !d.oracle);
    assert!(!d.with_sql_mode(b"").ansi_quotes);
    assert!(mariadb().with_sql_mode(b"ORACLE").oracle);
}

/// Tokens that don't run into each other, as long as a blank stands between them.
fn pieces() -> impl Strategy<Value = Vec<String>> {
    let piece = prop_oneof![
        "[a-zA-Z_][a-zA-Z0-9_$]{0,6}",
        "[0-9]{1,5}",
        "[0-9]{1,3}\\.[0-9]{1,3}(e[+-]?[0-9]{1,2})?",
        "'([a-z*/@;\"`#-]|''|\\\\.){0,8}'",
        "`([a-z*/@;'\"#-]|``){0,8}`",
        "\"([a-z*/@;'`#-]|\"\"|\\\\.){0,8}\"",
        "@[a-z0-9._$]{1,5}",
        "@@[a-z]{1,5}",
        "[xX]'([0-9a-f]{2}){0,3}'",
        "0x[0-9a-f]{1,4}",
        ":=|[(),;=<>+%?!|&]",
    ];
    proptest::collection::vec(piece, 0..12)
}

proptest! {
    #[test]
    fn tokens_read_alone_are_tokens_read_together(pieces in pieces(), maria in any::<bool>()) {
        let dialect = if maria { mariadb() } else { mysql() };
        let apart: Vec<_> =
            pieces.iter().flat_map(|piece| tokens(piece.as_bytes(), &dialect)).collect();
        for between in [" ", "\n", " /* ' */ ", " -- \"\n", " # `\n", "/**/ "] {
            let text = pieces.join(between);
            prop_assert_eq!(&tokens(text.as_bytes(), &dialect), &apart);
        }
    }

    #[test]
    fn every_byte_is_passed_once(sql in proptest::collection::vec(any::<u8>(), 0..100)) {
        for set in [&b"utf8mb4"[..], b"gbk", b"latin1", b"cp1251"] {
            let dialect = mysql().with_charset(set);
            let mut end = 0;
            let mut lexer = Lexer::new(&sql, &dialect);
            loop {
                let token = lexer.next_token();
                prop_assert!(token.start >= end && token.end <= sql.len());
                if token.kind == T::End {
                    break;
                }
                // What is missing at the end of a text cannot be read either.
                prop_assert!(token.end > token.start || token.kind == T::Opaque);
                end = token.end;
            }
        }
    }
}
