use super::value::{LONGLONG, UNSIGNED};
use super::*;

fn value(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

fn string_column() -> ColumnType {
    ColumnType { code: 253, flags: 0, length: 40, collation: 45 }
}

#[test]
fn nothing_is_asked_of_a_fresh_session() {
    let residue = Residue::default();
    assert!(residue.is_portable());
    assert!(residue.capture(None).queries.is_empty());
}

#[test]
fn warnings_are_asked_for_first() {
    let mut residue = Residue {
        diagnostics: Diagnostics::OnBackend,
        last_insert_id: LastInsertId::OnBackend,
        ..Residue::default()
    };
    residue.variable_touched(b"a");
    let capture = residue.capture(None);
    let texts: Vec<_> = capture.queries.iter().map(|q| String::from_utf8_lossy(q)).collect();
    assert_eq!(
        texts,
        [
            "SHOW WARNINGS",
            "SELECT @@last_insert_id,@`a`,HEX(@`a`),CHARSET(@`a`),COLLATION(@`a`) FROM DUAL \
             WHERE 0+COALESCE(LENGTH(@`a`),0)<=65536 LIMIT 1"
        ]
    );
    let id = ColumnType { code: LONGLONG, flags: UNSIGNED, length: 21, collation: 63 };
    let answers = vec![
        Answer::default(),
        Answer {
            types: vec![id, string_column(), string_column(), string_column(), string_column()],
            first_row: vec![
                value("7"),
                value("x"),
                value("78"),
                value("utf8mb4"),
                value("utf8mb4_bin"),
            ],
            ..Answer::default()
        },
    ];
    assert_eq!(residue.captured(&capture, answers), Ok(Captured::All));
    assert!(residue.is_portable());
    assert_eq!(residue.last_insert_id, LastInsertId::Known(7));
    assert_eq!(residue.diagnostics, Diagnostics::None);
    assert_eq!(residue.variable(b"a"), Some(&b"_utf8mb4 x'78' COLLATE utf8mb4_bin"[..]));
}

#[test]
fn missing_answers_are_an_error() {
    let residue = Residue { last_insert_id: LastInsertId::OnBackend, ..Residue::default() };
    let capture = residue.capture(None);
    assert_eq!(residue.clone().captured(&capture, vec![]), Err(CaptureMismatch));
    assert_eq!(residue.clone().captured(&capture, vec![Answer::default()]), Err(CaptureMismatch));
}
