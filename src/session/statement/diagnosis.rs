//! `GET DIAGNOSTICS` outside stored code.

use super::keyword::Keyword as K;
use super::parse::Parser;
use crate::session::lexer::{Dialect, Lexer, TokenKind};

/// What a `GET DIAGNOSTICS` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diagnosis<'a> {
    /// Of the last statement.
    Statement(Vec<(&'a [u8], StatementItem)>),
    /// Of one of its conditions.
    Condition {
        /// Its number, from 1.
        number: u64,
        /// User variables, as they are written, and what is put into each.
        items: Vec<(&'a [u8], ConditionItem)>,
    },
}

/// What can be told of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementItem {
    /// `NUMBER`: of its conditions.
    Number,
    /// `ROW_COUNT`
    RowCount,
}

/// What can be told of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionItem {
    /// `CLASS_ORIGIN`, `SUBCLASS_ORIGIN`
    Origin,
    /// `MESSAGE_TEXT`
    MessageText,
    /// `MYSQL_ERRNO`
    Number,
    /// A name that only `SIGNAL` sets: `TABLE_NAME` and the like.
    Name,
    /// `RETURNED_SQLSTATE`
    Sqlstate,
}

const NAMES: [&[u8]; 8] = [
    b"catalog_name",
    b"column_name",
    b"constraint_catalog",
    b"constraint_name",
    b"constraint_schema",
    b"cursor_name",
    b"schema_name",
    b"table_name",
];

impl<'a> Diagnosis<'a> {
    /// Reads a `GET DIAGNOSTICS`; `None` for one whose parts are more than names, numbers and user
    /// variables.
    pub fn parse(sql: &'a [u8], dialect: &Dialect) -> Option<Self> {
        let mut parser = Parser::new(Lexer::new(sql, dialect));
        if !parser.word(K::Get) {
            return None;
        }
        if parser.text().eq_ignore_ascii_case(b"current") {
            parser.advance();
        }
        if !parser.word(K::Diagnostics) {
            return None;
        }
        if !parser.text().eq_ignore_ascii_case(b"condition") {
            return items(&mut parser, |word| match word {
                b"number" => Some(StatementItem::Number),
                b"row_count" => Some(StatementItem::RowCount),
                _ => None,
            })
            .map(Self::Statement);
        }
        parser.advance();
        let number = match parser.token.kind {
            TokenKind::Number => std::str::from_utf8(parser.text()).ok()?.parse().ok()?,
            _ => return None,
        };
        parser.advance();
        let items = items(&mut parser, |word| match word {
            b"class_origin" | b"subclass_origin" => Some(ConditionItem::Origin),
            b"message_text" => Some(ConditionItem::MessageText),
            b"mysql_errno" => Some(ConditionItem::Number),
            b"returned_sqlstate" => Some(ConditionItem::Sqlstate),
            name => NAMES.contains(&name).then_some(ConditionItem::Name),
        })?;
        Some(Self::Condition { number, items })
    }
}

/// `@variable = ITEM, …`
fn items<'a, Item>(
    parser: &mut Parser<'a>,
    item: impl Fn(&[u8]) -> Option<Item>,
) -> Option<Vec<(&'a [u8], Item)>> {
    let mut items = Vec::new();
    loop {
        if parser.token.kind != TokenKind::UserVariable {
            return None;
        }
        let variable = parser.text();
        parser.advance();
        if !parser.symbol(b'=') {
            return None;
        }
        items.push((variable, item(&parser.text().to_ascii_lowercase())?));
        parser.advance();
        if !parser.symbol(b',') {
            return parser.at_end().then_some(items);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::server::ServerVersion;

    fn parse(sql: &str) -> Option<Diagnosis<'_>> {
        let dialect = Dialect::new(&ServerVersion::parse(b"9.7.0"), b"", "utf8mb4");
        Diagnosis::parse(sql.as_bytes(), &dialect)
    }

    #[test]
    fn items_and_their_variables_are_read() {
        let both =
            vec![(&b"@n"[..], StatementItem::Number), (&b"@`r c`"[..], StatementItem::RowCount)];
        assert_eq!(
            parse("get current diagnostics @n = number, @`r c`=ROW_COUNT;"),
            Some(Diagnosis::Statement(both))
        );
        let items = vec![
            (&b"@a"[..], ConditionItem::Sqlstate),
            (&b"@b"[..], ConditionItem::Name),
            (&b"@c"[..], ConditionItem::Origin),
        ];
        assert_eq!(
            parse(
                "GET DIAGNOSTICS CONDITION 2 @a = RETURNED_SQLSTATE, @b = TABLE_NAME, \
                 @c = SUBCLASS_ORIGIN"
            ),
            Some(Diagnosis::Condition { number: 2, items })
        );
    }

    #[test]
    fn what_is_more_than_that_is_left_to_the_server() {
        for sql in [
            "GET STACKED DIAGNOSTICS @n = NUMBER",
            "GET DIAGNOSTICS CONDITION @i @a = MESSAGE_TEXT",
            "GET DIAGNOSTICS local = NUMBER",
            "GET DIAGNOSTICS @n = MESSAGE_TEXT",
            "GET DIAGNOSTICS @n = NUMBER @m",
            "GET DIAGNOSTICS",
            "SELECT 1",
        ] {
            assert_eq!(parse(sql), None, "{sql}");
        }
    }
}
