//! Sequences: of which a value is taken, and which are asked for their last.

use super::*;
use crate::session::catalogue::{Body, Builder, RoutineKind};
use crate::session::server::NameCase;

/// The uses as `database.name=` for one of which a value is taken, `?` for one that is asked for, `!` for
/// one that is dropped.
fn uses(analysis: &Analysis) -> Vec<String> {
    let details = analysis.details.as_ref();
    let shown = |used: &SequenceUse| {
        let sign = match used.access {
            SequenceAccess::Draws => "=",
            SequenceAccess::Reads => "?",
            SequenceAccess::Drops => "!",
        };
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        format!("{}.{}{sign}", text(&used.name.database), text(&used.name.name))
    };
    details.map(|details| details.sequences.iter().map(shown).collect()).unwrap_or_default()
}

fn oracle(sql: &str) -> Analysis {
    let dialect = dialect(Flavor::MariaDb).with_sql_mode(b"ORACLE");
    analyze(sql.as_bytes(), &dialect, &Catalogue::empty())
}

#[test]
fn names_are_found_in_every_form() {
    for (sql, expected) in [
        ("select nextval(s), lastval( d . `t` )", &[".s=", "d.t?"][..]),
        ("select next value for d.s + previous value for t", &["d.s=", ".t?"]),
        ("insert into x values (nextval(s))", &[".s="]),
        ("set statement max_statement_time = 1 for do nextval(s)", &[".s="]),
        ("execute immediate 'select lastval(s)'", &[".s?"]),
        ("create or replace sequence d.s start 5", &["d.s!"]),
        ("select d.nextval(s), `lastval`(s), s.nextval", &[]),
    ] {
        assert_eq!(uses(&mariadb(sql)), expected, "{sql}");
    }
    assert_eq!(uses(&oracle("select s.nextval, d.\"s\".currval")), [".s=", "d.s?"]);
    assert!(uses(&mysql("select nextval(s), lastval(s)")).is_empty());
    assert!(mysql("select nextval('s')").marks.has(Marks::FOREIGN_FUNCTION));
}

#[test]
fn a_value_is_seen_where_it_is_all_that_is_selected() {
    for sql in
        ["select nextval(s)", "select next value for d.s as n", "select nextval(s) n from dual"]
    {
        assert!(mariadb(sql).draws_alone(), "{sql}");
    }
    assert!(oracle("select d.s.nextval from dual").draws_alone());
    for sql in [
        "select nextval(s) from t",
        "select nextval(s) limit 0",
        "select nextval(s), 1",
        "select nextval(s) + 1",
        "select lastval(s)",
        "do nextval(s)",
        "insert into t values (nextval(s))",
    ] {
        assert!(!mariadb(sql).draws_alone(), "{sql}");
    }
    assert!(!several("select nextval(s); select nextval(s)").draws_alone());
}

#[test]
fn what_cannot_be_told_or_answered_is_said() {
    for sql in ["do nextval(`é`)", "create temporary table t (a bigint default nextval(s))"] {
        assert!(mariadb(sql).draws_unknown(), "{sql}");
    }
    assert!(!mariadb("do nextval(s)").draws_unknown());
    for sql in ["execute immediate 'select lastval(s)'", "select lastval(`é`)"] {
        assert!(mariadb(sql).reads_last_values(), "{sql}");
    }
    for sql in ["select lastval(s)", "create table t (a bigint default lastval(s))"] {
        assert!(!mariadb(sql).reads_last_values(), "{sql}");
    }
}

#[test]
fn names_are_those_of_the_sessions_database() {
    let mut analysis = mariadb("select nextval(S), lastval(d.T)");
    analysis.place_sequences(Some(b"own"), NameCase::Exact);
    assert_eq!(uses(&analysis), ["own.S=", "d.T?"]);
    analysis.place_sequences(Some(b"own"), NameCase::Ignored);
    assert_eq!(uses(&analysis), ["own.s=", "d.t?"]);
}

#[test]
fn tables_and_stored_code_take_values() {
    let mut builder = Builder::new(&dialect(Flavor::MariaDb));
    let sql = |text: &'static str| Body::Sql { text: text.as_bytes(), sql_mode: b"" };
    builder.database(b"d");
    builder.default_of(b"t", b"nextval(`d`.`s`)");
    builder.view(b"v", b"select `d`.`t`.`a` AS `a` from `d`.`t`");
    builder.routine(b"takes", RoutineKind::Function, sql("return nextval(Own)"));
    builder.routine(b"asks", RoutineKind::Function, sql("return lastval(other)"));
    let catalogue = builder.build();
    let analyzed = |sql: &str| analyze(sql.as_bytes(), &dialect(Flavor::MariaDb), &catalogue);
    let drawn = |sql: &str| -> Vec<String> {
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        analyzed(sql).draws().map(|s| text(&s.database) + "." + &text(&s.name)).collect()
    };
    for sql in
        ["insert into t (a) values (1)", "replace into v set a = 1", "select default(a) from t"]
    {
        assert_eq!(drawn(sql), ["d.s"], "{sql}");
    }
    assert_eq!(drawn("select takes()"), ["d.Own"]);
    for sql in ["select * from t", "select a from v", "select asks()"] {
        assert!(drawn(sql).is_empty(), "{sql}");
    }
    assert!(analyzed("select asks()").reads_last_values());
    assert!(analyzed("select nextval(e.OTHER)").draws_unknown());
    assert!(!analyzed("select nextval(s)").draws_unknown());
}
