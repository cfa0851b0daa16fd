//! Routines, triggers and views whose code may do to a session what trackers do not report.
//!
//! Built from the bodies that the server shows; a body that it does not show counts as one that
//! may do anything. Names are compared without their database: a namesake elsewhere costs a pin.

use super::lexer::{Lexer, Token};
use super::statement::{Dialect, Marks, StatementKind, analyze};
use std::collections::{HashMap, HashSet};

/// What is known of a server's stored code.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    impure: HashSet<Box<[u8]>>,
    harmless_procedures: HashSet<Box<[u8]>>,
    routines: usize,
}

/// A routine, trigger or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCode {
    /// Which of them.
    pub kind: CodeKind,
    /// The name by which a statement reaches it: the routine's, the trigger's table, the view's.
    pub name: Vec<u8>,
    /// The text; `None` where the server does not show it.
    pub body: Option<Vec<u8>>,
}

/// A kind of stored code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeKind {
    /// A stored function.
    Function,
    /// A stored procedure.
    Procedure,
    /// A trigger.
    Trigger,
    /// A view.
    View,
}

impl Catalogue {
    /// Scans stored code. What reaches impure code is impure itself.
    pub fn new(code: &[StoredCode], dialect: &Dialect) -> Self {
        let mut impure = HashSet::new();
        let mut mentions: HashMap<usize, HashSet<Box<[u8]>>> = HashMap::new();
        for (at, item) in code.iter().enumerate() {
            let pure =
                item.body.as_deref().is_some_and(|body| is_harmless(body, item.kind, dialect));
            if !pure {
                impure.insert(key(&item.name));
            }
            let words = Lexer::new(item.body.as_deref().unwrap_or_default(), *dialect);
            let words = words.filter_map(|token| match token {
                Token::Word(word) | Token::Quoted(word) => Some(key(word)),
                _ => None,
            });
            mentions.insert(at, words.collect());
        }
        loop {
            let reached: Vec<_> = code
                .iter()
                .enumerate()
                .filter(|(at, item)| {
                    !impure.contains(&key(&item.name))
                        && mentions[at].iter().any(|word| impure.contains(word))
                })
                .map(|(_, item)| key(&item.name))
                .collect();
            if reached.is_empty() {
                break;
            }
            impure.extend(reached);
        }
        let harmless_procedures = code
            .iter()
            .filter(|item| item.kind == CodeKind::Procedure)
            .map(|item| key(&item.name))
            .filter(|name| !impure.contains(name))
            .collect();
        Self { impure, harmless_procedures, routines: code.len() }
    }

    /// Whether the server has no stored code at all.
    pub fn is_empty(&self) -> bool {
        self.routines == 0
    }

    /// Whether any name is impure.
    pub fn has_impure_names(&self) -> bool {
        !self.impure.is_empty()
    }

    /// Whether a statement that names this may do anything to its session.
    pub fn is_impure(&self, name: &[u8]) -> bool {
        self.impure.contains(&key(name))
    }

    /// Whether a procedure is known and does nothing that outlives it unreported.
    pub fn is_harmless_procedure(&self, name: &[u8]) -> bool {
        self.harmless_procedures.contains(&key(name))
    }

    /// How many names are impure.
    pub fn impure_count(&self) -> usize {
        self.impure.len()
    }
}

fn key(name: &[u8]) -> Box<[u8]> {
    name.to_ascii_lowercase().into()
}

/// Whether code leaves nothing in the session that calls it, beyond what trackers report.
fn is_harmless(body: &[u8], kind: CodeKind, dialect: &Dialect) -> bool {
    // Control structures are split at semicolons, which leaves statements behind keywords; only
    // what can stand anywhere, and the words of what must begin a statement, are looked for.
    let analysis = analyze(body, dialect, &Catalogue::default());
    let suspicious = Marks::USER_VARIABLES
        | Marks::LAST_INSERT_ID_SET
        | Marks::GET_LOCK
        | Marks::RELEASE_LOCK
        | Marks::RELEASE_ALL_LOCKS
        | Marks::SQL_CALC_FOUND_ROWS
        | Marks::SESSION_TRACK;
    if kind == CodeKind::View {
        return !analysis.marks.intersects(suspicious);
    }
    let words = [
        &b"temporary"[..],
        b"prepare",
        b"execute",
        b"immediate",
        b"handler",
        b"role",
        b"resource",
        b"names",
        b"charset",
        b"lock",
        b"unlock",
        b"flush",
        b"transaction",
        b"session",
        b"local",
        b"call",
        b"kill",
        b"backup",
        b"xa",
    ];
    let harmful = |token: Token<'_>| match token {
        Token::Word(word) => words.iter().any(|w| word.eq_ignore_ascii_case(w)),
        Token::SystemVariable(_) | Token::UserVariable(_) | Token::Opaque => true,
        _ => false,
    };
    let calls =
        |token: Token<'_>| matches!(token, Token::Word(w) if w.eq_ignore_ascii_case(b"call"));
    if analysis.marks.intersects(suspicious) || analysis.kind == StatementKind::Call {
        return false;
    }
    // A CALL is as harmless as what it calls, which the fixpoint over names decides; a handler
    // declared for conditions is none that is opened.
    let declared = Lexer::new(body, *dialect)
        .any(|t| matches!(t, Token::Word(w) if w.eq_ignore_ascii_case(b"declare")));
    Lexer::new(body, *dialect)
        .filter(|token| !calls(*token))
        .filter(|token| {
            !(declared && matches!(token, Token::Word(w) if w.eq_ignore_ascii_case(b"handler")))
        })
        .all(|token| !harmful(token))
}

#[cfg(test)]
mod tests {
    use super::super::server::ServerVersion;
    use super::*;

    fn code(kind: CodeKind, name: &str, body: Option<&str>) -> StoredCode {
        let body = body.map(|body| body.as_bytes().to_vec());
        StoredCode { kind, name: name.as_bytes().to_vec(), body }
    }

    fn catalogue(code: &[StoredCode]) -> Catalogue {
        let version = ServerVersion::parse(b"9.7.4");
        Catalogue::new(code, &Dialect::new(&version, b"", "utf8mb4"))
    }

    #[test]
    fn what_reaches_impure_code_is_impure() {
        let catalogue = catalogue(&[
            code(CodeKind::Function, "dirty", Some("BEGIN SET @a = 1; RETURN 1; END")),
            code(CodeKind::View, "v", Some("select `db`.`dirty`() AS `x`")),
            code(CodeKind::Trigger, "t", Some("BEGIN INSERT INTO v2 SELECT * FROM v; END")),
            code(CodeKind::Procedure, "clean", Some("BEGIN UPDATE u SET a = a + 1; END")),
            code(CodeKind::Procedure, "hidden", None),
            code(CodeKind::Procedure, "temp", Some("CREATE TEMPORARY TABLE x (a INT)")),
        ]);
        for name in ["dirty", "V", "t", "hidden", "temp"] {
            assert!(catalogue.is_impure(name.as_bytes()), "{name}");
        }
        assert!(!catalogue.is_impure(b"clean"));
        assert!(catalogue.is_harmless_procedure(b"CLEAN"));
        assert!(!catalogue.is_harmless_procedure(b"unknown"));
    }
}
