use super::*;
use proptest::prelude::*;

fn dialect(flavor: Flavor, mode: &str, charset: &str) -> Dialect {
    let text = if flavor == Flavor::MySql { &b"9.7.4"[..] } else { b"10.11.19-MariaDB" };
    Dialect::new(&ServerVersion::parse(text), mode.as_bytes(), charset)
}

fn mysql(sql: &[u8]) -> Vec<Token<'_>> {
    Lexer::new(sql, dialect(Flavor::MySql, "", "utf8mb4")).collect()
}

fn maria(sql: &[u8]) -> Vec<Token<'_>> {
    Lexer::new(sql, dialect(Flavor::MariaDb, "", "utf8mb4")).collect()
}

fn word(text: &str) -> Token<'_> {
    Token::Word(text.as_bytes())
}

#[test]
fn strings_end_where_the_server_ends_them() {
    assert_eq!(mysql(br"'a\'b' x"), [Token::Text(br"a\'b"), word("x")]);
    assert_eq!(mysql(b"'a''b' x"), [Token::Text(b"a''b"), word("x")]);
    assert_eq!(mysql(b"\"a'b\" x"), [Token::Text(b"a'b"), word("x")]);
    let plain = dialect(Flavor::MySql, "NO_BACKSLASH_ESCAPES", "utf8mb4");
    let tokens: Vec<_> = Lexer::new(br"'a\' x", plain).collect();
    assert_eq!(tokens, [Token::Text(br"a\"), word("x")]);
    let ansi = dialect(Flavor::MySql, "REAL_AS_FLOAT,ANSI_QUOTES", "utf8mb4");
    let tokens: Vec<_> = Lexer::new(b"\"a\"", ansi).collect();
    assert_eq!(tokens, [Token::Quoted(b"a")]);
    assert_eq!(mysql(b"'open"), [Token::Opaque]);
    assert_eq!(mysql(br"'open\"), [Token::Opaque]);
}

#[test]
fn a_trail_byte_is_no_backslash_and_no_quote() {
    let sql = b"'\x95\x5c' @a";
    let gbk = dialect(Flavor::MySql, "", "gbk");
    let tokens: Vec<_> = Lexer::new(sql, gbk).collect();
    assert_eq!(tokens, [Token::Text(b"\x95\x5c"), Token::UserVariable(b"a")]);
    let latin = dialect(Flavor::MySql, "", "latin1");
    assert_eq!(Lexer::new(sql, latin).next(), Some(Token::Opaque));
}

#[test]
fn comments_are_blank_and_executable_ones_are_code() {
    assert_eq!(
        mysql(b"a/* b */c -- d\ne#f\n--g"),
        [word("a"), word("c"), word("e"), Token::Symbol(b'-'), Token::Symbol(b'-'), word("g"),]
    );
    assert_eq!(mysql(b"/*!40101 SET */ x"), [word("SET"), word("x")]);
    assert_eq!(mysql(b"/*! SET*/x"), [word("SET"), word("x")]);
    assert_eq!(mysql(b"/*!99999 SET /* ' */ */x"), [word("x")]);
    assert_eq!(mysql(b"/*M! SET */x"), [word("x")]);
    assert_eq!(maria(b"/*M!100100 SET */x"), [word("SET"), word("x")]);
    assert_eq!(maria(b"/*!80000 SET */x"), [word("x")]);
    assert_eq!(maria(b"/*!50101 SET */x"), [word("SET"), word("x")]);
    assert_eq!(mysql(b"/*! open"), [word("open"), Token::Opaque]);
    assert_eq!(mysql(b"/* open"), [Token::Opaque]);
    assert_eq!(mysql(b"/*/ still */x"), [word("x")]);
    assert_eq!(mysql(b"/*+ SET_VAR(a=1) */"), [Token::Hint(b" SET_VAR(a=1) ")]);
}

#[test]
fn variables_are_read_in_all_their_forms() {
    assert_eq!(
        mysql(b"@a @`a b` @'c' @a.b$c @@x @@SESSION.`y`, @"),
        [
            Token::UserVariable(b"a"),
            Token::UserVariable(b"a b"),
            Token::UserVariable(b"c"),
            Token::UserVariable(b"a.b$c"),
            Token::SystemVariable(b"x"),
            Token::SystemVariable(b"SESSION.`y`"),
            Token::Symbol(b','),
            Token::UserVariable(b""),
        ]
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_their_end(sql in prop::collection::vec(any::<u8>(), 0..200), gbk: bool) {
        let charset = if gbk { "gbk" } else { "utf8mb4" };
        let mut lexer = Lexer::new(&sql, dialect(Flavor::MySql, "", charset));
        let mut before = 0;
        while let Some(token) = lexer.next() {
            prop_assert!(lexer.position() > before || token == Token::Opaque);
            before = lexer.position();
        }
        prop_assert!(lexer.position() >= sql.len());
    }

    #[test]
    fn sql_like_bytes_are_read_to_their_end(sql in "[a '\"`/*!@#;0-9\\\\-]{0,60}") {
        let tokens = Lexer::new(sql.as_bytes(), dialect(Flavor::MariaDb, "", "utf8mb4")).count();
        prop_assert!(tokens <= sql.len() + 1);
    }
}
