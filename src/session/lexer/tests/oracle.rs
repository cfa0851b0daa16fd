//! Another tokenizer's opinion, where it has one.

use proptest::prelude::*;
use sqlparser::dialect::MySqlDialect;
use sqlparser::tokenizer::{Token as Theirs, Tokenizer, Whitespace};

use super::*;

/// What both tokenizers have: words, names and strings with their quotes, and symbols.
fn ours(sql: &str) -> Vec<String> {
    tokens(sql.as_bytes(), &mysql())
        .into_iter()
        .map(|(_, text)| String::from_utf8_lossy(text).into_owned())
        .collect()
}

/// `None` where it can't read the text, or reads something that we read otherwise on purpose.
fn theirs(sql: &str) -> Option<Vec<String>> {
    let tokens = Tokenizer::new(&MySqlDialect {}, sql).with_unescape(false).tokenize().ok()?;
    let mut texts = Vec::new();
    for token in tokens {
        match token {
            Theirs::Whitespace(Whitespace::SingleLineComment { .. }) => {}
            Theirs::Whitespace(_) => {}
            Theirs::Word(word) => texts.push(match word.quote_style {
                Some(quote) => format!("{quote}{}{quote}", word.value),
                None => word.value,
            }),
            Theirs::SingleQuotedString(text) => texts.push(format!("'{text}'")),
            Theirs::DoubleQuotedString(text) => texts.push(format!("\"{text}\"")),
            Theirs::Number(digits, false) => texts.push(digits),
            Theirs::Comma | Theirs::SemiColon | Theirs::LParen | Theirs::RParen | Theirs::Eq => {
                texts.push(token.to_string());
            }
            _ => return None,
        }
    }
    Some(texts)
}

fn statement() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z_]{2,6}",
        "[0-9]{1,5}",
        "'([a-z */#@;\"`-]|''|\\\\')*'",
        "\"([a-z */#@;'`-]|\"\"|\\\\\")*\"",
        "`[a-z */#@;'\"-]+`",
        "[,;()=]",
        "/\\*[a-z '\"`#-]*\\*/",
        "-- [a-z '\"`#*/-]*\n",
        "#[a-z '\"`*/-]*\n",
    ];
    proptest::collection::vec(piece, 0..10).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn both_tokenizers_agree(sql in statement()) {
        if let Some(theirs) = theirs(&sql) {
            prop_assert_eq!(ours(&sql), theirs);
        }
    }
}

#[test]
fn it_has_an_opinion_on_usual_statements() {
    for sql in [
        "SELECT a, `b c` FROM t WHERE d = 'it''s' -- x\n",
        "INSERT INTO t (a) VALUES (1), (2) /* ' */;",
        "UPDATE t SET a = \"x\\\"y\" # '\n",
    ] {
        assert_eq!(Some(ours(sql)), theirs(sql), "{sql}");
    }
}
