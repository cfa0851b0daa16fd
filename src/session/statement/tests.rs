use super::super::server::ServerVersion;
use super::*;
use proptest::prelude::*;

fn read(sql: &str) -> Analysis {
    let version = ServerVersion::parse(b"9.7.4");
    analyze(sql.as_bytes(), &Dialect::new(&version, b"", "utf8mb4"), &Catalogue::default())
}

fn marks(sql: &str) -> Marks {
    read(sql).marks
}

#[test]
fn a_plain_select_says_nothing() {
    let analysis = read("SELECT c FROM sbtest1 WHERE id=123456");
    assert_eq!(analysis.kind, StatementKind::Select);
    assert_eq!(analysis.marks, Marks::PURE_READ);
    assert!(analysis.details().is_none());
}

#[test]
fn what_is_said_by_text_is_found() {
    for (sql, mark) in [
        ("select get_lock('a', 1)", Marks::GET_LOCK),
        ("select RELEASE_ALL_LOCKS ()", Marks::RELEASE_ALL_LOCKS),
        ("SELECT SQL_CALC_FOUND_ROWS * FROM t", Marks::SQL_CALC_FOUND_ROWS),
        ("update t set a = last_insert_id(a + 1)", Marks::LAST_INSERT_ID_SET),
        ("SET last_insert_id = 5", Marks::LAST_INSERT_ID_SET),
        ("select @@identity", Marks::LAST_INSERT_ID_READ),
        ("select 1 into @a", Marks::WRITES_VARIABLES),
        ("select @a := 1", Marks::WRITES_VARIABLES),
        ("set @a = 1", Marks::WRITES_VARIABLES),
        ("/*!40101 set @a = 1 */", Marks::WRITES_VARIABLES),
        ("lock tables t write", Marks::LOCK_TABLES),
        ("unlock tables", Marks::UNLOCK_TABLES),
        ("flush tables with read lock", Marks::FLUSH_LOCK),
        ("flush table t for export", Marks::FLUSH_LOCK),
        ("lock instance for backup", Marks::LOCK_INSTANCE),
        ("set role all", Marks::SET_ROLE),
        ("set names latin1", Marks::SET_NAMES),
        ("set autocommit=0, names utf8mb4", Marks::SET_CHARACTER_SET),
        ("set character set latin1", Marks::SET_CHARACTER_SET),
        ("show session variables like 'a%'", Marks::SHOW_VARIABLES),
        ("select * from performance_schema.`session_variables`", Marks::SHOW_VARIABLES),
        ("set session_track_gtids = own_gtid", Marks::SESSION_TRACK),
        ("select @@session.session_track_schema", Marks::SESSION_TRACK),
        ("savepoint a", Marks::SAVEPOINT),
        ("xa start 'a'", Marks::XA),
        ("call p()", Marks::IMPURE),
        ("begin not atomic set @a = 1; end", Marks::OPAQUE),
        ("execute immediate 'set @a = 1'", Marks::OPAQUE),
        ("select 'open", Marks::OPAQUE),
        ("drop database d", Marks::DROP_DATABASE),
        ("grant select on *.* to u", Marks::PRIVILEGES),
        ("create trigger t before insert on u for each row set @a = 1", Marks::DDL_ROUTINE),
        ("/* millpond: pin */ select 1", Marks::HINT_PIN),
    ] {
        assert!(marks(sql).has(mark), "{sql}");
    }
}

#[test]
fn what_stands_in_text_is_no_code() {
    for sql in [
        "select 'get_lock(1)', \"set @a = 1\" from t",
        "select `get_lock` from t -- get_lock(\n",
        "select a /* into @b */ from t # get_lock('x')",
    ] {
        assert!(marks(sql).has(Marks::PURE_READ), "{sql}");
    }
    assert!(!marks("select last_insert_id()").has(Marks::LAST_INSERT_ID_SET));
    assert!(!marks("select @a").has(Marks::WRITES_VARIABLES));
}

#[test]
fn a_stored_body_is_not_run() {
    let analysis =
        read("create procedure p() begin set @a = 1; create temporary table t (a int); end");
    assert!(analysis.marks.has(Marks::DDL_ROUTINE));
    let view = read("create view v as select get_lock('a', 1)");
    assert!(!view.marks.has(Marks::GET_LOCK));
}

#[test]
fn names_are_read() {
    let table = |database: Option<&str>, name: &str| TableRef {
        database: database.map(|d| d.as_bytes().into()),
        name: name.as_bytes().into(),
    };
    assert_eq!(
        read("create temporary table if not exists `d`.`a``b` (x int)").effects(),
        [TextEffect::TemporaryCreated(Some(table(Some("d"), "a`b")))]
    );
    assert_eq!(
        read("drop temporary table if exists a, d.b").effects(),
        [TextEffect::TablesDropped(vec![table(None, "a"), table(Some("d"), "b")])]
    );
    assert_eq!(
        read("handler d.t open as h").effects(),
        [TextEffect::HandlerOpened(b"h"[..].into())]
    );
    assert_eq!(read("handler h close").effects(), [TextEffect::HandlerClosed(b"h"[..].into())]);
    assert_eq!(
        read("prepare s from 'select ''x'''").effects(),
        [TextEffect::Prepared { name: b"s"[..].into(), text: Some(b"select 'x'".to_vec()) }]
    );
    assert_eq!(
        read("set names 'utf8mb4' collate utf8mb4_bin").effects(),
        [TextEffect::Names {
            charset: Some("utf8mb4".into()),
            collation: Some("utf8mb4_bin".into())
        }]
    );
    assert_eq!(read("set role `r`@'%', s").effects(), [TextEffect::Role(b"`r`@'%', s"[..].into())]);
    assert_eq!(
        read("kill query 12").effects(),
        [TextEffect::Killed(Kill { words: b"query"[..].into(), connection: false, id: 12 })]
    );
    assert_eq!(
        read("set statement max_statement_time=1, a=2 for select 1")
            .details()
            .map(|d| d.temporary_settings.len()),
        Some(2)
    );
}

#[test]
fn a_question_for_one_thing_is_known() {
    for (sql, sole) in [
        ("SELECT CONNECTION_ID()", Some(Sole::ConnectionId)),
        ("select row_count() as n", Some(Sole::RowCount)),
        ("select found_rows() `total`", Some(Sole::FoundRows)),
        ("show warnings", Some(Sole::Warnings)),
        ("show count(*) warnings", Some(Sole::WarningCount)),
        ("select @@warning_count", Some(Sole::WarningCount)),
        ("select @@session.error_count e", Some(Sole::ErrorCount)),
        ("select found_rows(), 1", None),
        ("show warnings limit 1", None),
        ("select row_count(); select 1", None),
    ] {
        assert_eq!(read(sql).sole, sole, "{sql}");
    }
}

#[test]
fn all_statements_of_a_command_count() {
    let analysis = read("select 1; set @a = 1; create temporary table t (a int);");
    assert_eq!(analysis.count, 3);
    assert!(analysis.marks.has(Marks::WRITES_VARIABLES));
    assert_eq!(analysis.effects().len(), 1);
    assert_eq!(read("  /* nothing */ ").kind, StatementKind::Empty);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_fail(sql in prop::collection::vec(any::<u8>(), 0..300)) {
        let version = ServerVersion::parse(b"10.11.19-MariaDB");
        let dialect = Dialect::new(&version, b"ANSI_QUOTES", "sjis");
        let _ = analyze(&sql, &dialect, &Catalogue::default());
    }
}
