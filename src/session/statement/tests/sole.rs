//! Texts that are one question.

use super::*;

#[test]
fn questions_that_millpond_may_answer() {
    for (sql, question, column) in [
        ("SELECT LAST_INSERT_ID()", Question::LastInsertId, "LAST_INSERT_ID()"),
        ("select last_insert_id( ) ;", Question::LastInsertId, "last_insert_id( )"),
        ("select Last_Insert_Id () as id", Question::LastInsertId, "id"),
        ("select @@identity", Question::LastInsertId, "@@identity"),
        ("select @@Session.last_insert_id x", Question::LastInsertId, "x"),
        ("select /* x */ last_insert_id()", Question::LastInsertId, "last_insert_id()"),
        ("/* app */ select connection_id() `c d`", Question::ConnectionId, "c d"),
        ("select row_count() 'n'", Question::RowCount, "n"),
        ("select found_rows()", Question::FoundRows, "found_rows()"),
        ("select found_rows() -- how many", Question::FoundRows, "found_rows()"),
        ("select @@warning_count", Question::WarningCount, "@@warning_count"),
        ("select @@local.error_count", Question::ErrorCount, "@@local.error_count"),
        ("show warnings", Question::ShowWarnings, ""),
        ("SHOW ERRORS;", Question::ShowErrors, ""),
        ("show count(*) warnings", Question::ShowWarningCount, "@@session.warning_count"),
        ("show count(*) errors", Question::ShowErrorCount, "@@session.error_count"),
    ] {
        let analysis = mysql(sql);
        let sole = analysis.sole().unwrap_or_else(|| panic!("{sql}"));
        assert_eq!((sole.question, &*sole.column), (question, column.as_bytes()), "{sql}");
    }
}

#[test]
fn anything_more_is_for_the_server() {
    for sql in [
        "select last_insert_id(5)",
        "select last_insert_id() + 1",
        "select last_insert_id(), 1",
        "select last_insert_id() from t",
        "select last_insert_id() limit 1",
        "select last_insert_id() into @a",
        "select last_insert_id() for update",
        "select last_insert_id(/* none */)",
        "select last_insert_id() as select",
        "select last_insert_id() as ' '",
        "select distinct last_insert_id()",
        "(select last_insert_id())",
        "select last_insert_id() union select 1",
        "select @@global.identity",
        "select @@identity = 1",
        "show warnings limit 1",
        "explain select last_insert_id()",
        "select x.last_insert_id()",
    ] {
        assert_eq!(mysql(sql).sole(), None, "{sql}");
    }
    assert_eq!(several("select last_insert_id(); select 1").sole(), None);
    assert!(several("select last_insert_id();").sole().is_some());
}
