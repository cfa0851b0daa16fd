//! Texts that ask for one thing.

use super::*;

#[test]
fn questions_for_one_thing() {
    for (sql, sole) in [
        ("/* app */ select connection_id() `c d`", Sole::ConnectionId),
        ("SELECT CONNECTION_ID();", Sole::ConnectionId),
        ("select row_count() 'n'", Sole::RowCount),
        ("select found_rows( ) as total -- how many", Sole::FoundRows),
        ("select @@warning_count", Sole::WarningCount),
        ("select @@Session.warning_count x", Sole::WarningCount),
        ("select @@local.error_count", Sole::ErrorCount),
        ("show warnings", Sole::Warnings),
        ("SHOW ERRORS;", Sole::Errors),
        ("show warnings limit 5, 1", Sole::Warnings),
        ("show errors limit 1 offset 2", Sole::Errors),
        ("show count(*) warnings", Sole::WarningCount),
        ("show count(*) errors", Sole::ErrorCount),
        ("show warnings limit 1", Sole::Warnings),
    ] {
        assert_eq!(mysql(sql).sole, Some(sole), "{sql}");
    }
    let limit = Limit { offset: 2, count: 1 };
    assert_eq!(mysql("show errors limit 1 offset 2").limit(), Some(limit));
    assert_eq!(mysql("show warnings").details, None);
    assert_eq!(several("select found_rows();").sole, Some(Sole::FoundRows));
}

#[test]
fn anything_more_is_for_the_server() {
    for sql in [
        "select found_rows() + 1",
        "select found_rows(), 1",
        "select found_rows() from t",
        "select found_rows() limit 1",
        "select found_rows() into @a",
        "select distinct found_rows()",
        "(select found_rows())",
        "select found_rows() union select 1",
        "select @@global.error_count",
        "select @@error_count = 1",
        "show warnings limit ?",
        "show warnings limit 1 2",
        "explain select found_rows()",
        "select x.found_rows()",
        "select 1",
    ] {
        assert_eq!(mysql(sql).sole, None, "{sql}");
    }
    assert_eq!(several("select found_rows(); select 1").sole, None);
}
