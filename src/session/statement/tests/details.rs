//! The particulars of actions.

use super::*;

#[track_caller]
fn one(analysis: &Analysis) -> Action {
    let mut all = actions(analysis);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn temporary_tables() {
    for (sql, existing) in [
        ("create temporary table D.`t``x` (a int)", Existing::Fails),
        ("create temporary table if not exists D.`t``x` as select 1", Existing::Stays),
        ("create or replace temporary table D.`t``x` like u", Existing::Replaced),
    ] {
        let action = Action::CreateTemporaryTable { name: Some(name("D.t`x")), existing };
        assert_eq!(one(&mariadb(sql)), action, "{sql}");
    }
    assert_eq!(
        one(&mysql("drop temporary table if exists a, b.`c` cascade")),
        Action::DropTables {
            names: vec![name("a"), name("b.c")],
            scope: DropScope::Temporary,
            missing: Missing::Ignored
        }
    );
    assert_eq!(
        one(&mysql("drop /* all */ table a . b")),
        Action::DropTables {
            names: vec![name("a.b")],
            scope: DropScope::All,
            missing: Missing::Fails
        }
    );
    for sql in [
        "alter table a rename b.c",
        "alter table a add x int default (1), rename as b.c",
        "alter table a rename = b.c, add y int",
        "rename table a to b.c",
    ] {
        assert_eq!(one(&mysql(sql)), Action::RenameTables(vec![(name("a"), name("b.c"))]), "{sql}");
    }
    assert_eq!(
        one(&mariadb("rename tables if exists a nowait to b, c wait 5 to d")),
        Action::RenameTables(vec![(name("a"), name("b")), (name("c"), name("d"))])
    );
    assert!(mysql("drop table 'a'").marks.has(Marks::UNCERTAIN));
}

#[test]
fn locks() {
    let lock = |function, name: Option<&str>, place| Action::Lock {
        function,
        name: name.map(|name| name.as_bytes().into()),
        place,
    };
    for (sql, action) in [
        ("select get_lock('a', 1)", lock(LockFunction::Get, Some("a"), CallPlace::Sole)),
        ("select get_lock('a\\'', 1) as x", lock(LockFunction::Get, Some("a'"), CallPlace::Sole)),
        ("select get_lock(concat('a'), 1)", lock(LockFunction::Get, None, CallPlace::Sole)),
        ("select get_lock('a' 'b', 1)", lock(LockFunction::Get, None, CallPlace::Sole)),
        ("select get_lock('a', 1) from t", lock(LockFunction::Get, Some("a"), CallPlace::Within)),
        ("select get_lock('a', 1) + 1", lock(LockFunction::Get, Some("a"), CallPlace::Within)),
        ("select 1, get_lock('a', 1)", lock(LockFunction::Get, Some("a"), CallPlace::Within)),
        ("do release_lock('a')", lock(LockFunction::Release, Some("a"), CallPlace::Done)),
        ("select release_all_locks()", lock(LockFunction::ReleaseAll, None, CallPlace::Sole)),
    ] {
        assert_eq!(one(&mysql(sql)), action, "{sql}");
    }
    assert_eq!(
        one(&mysql("handler d.t open as h")),
        Action::HandlerOpen { table: name("d.t"), alias: bytes("h") }
    );
    assert_eq!(one(&mysql("handler h close")), Action::HandlerClose(name("h")));
    for (sql, action) in [
        ("backup stage block_ddl", BackupAction::Stage),
        ("backup stage end", BackupAction::StageEnd),
        ("backup lock d.t", BackupAction::Lock),
        ("backup unlock", BackupAction::Unlock),
    ] {
        assert_eq!(one(&mariadb(sql)), Action::Backup(action), "{sql}");
    }
    let order: Vec<_> = actions(&several("lock tables t read; unlock tables; begin"));
    assert_eq!(
        order,
        [Action::Mark(Marks::LOCK_TABLES), Action::Mark(Marks::UNLOCK_TABLES), Action::Begin]
    );
}

#[test]
fn settings() {
    let set = |scope, name: &str, value| Action::SetVariable { scope, name: bytes(name), value };
    let literal = |text: &str| Value::Literal(bytes(text));
    let sql = "SET @@GLOBAL.a = 1, b := 'x', session C = DEFAULT, d = on, @u = 5, e = (1, 2), \
               @@f = -1, global g = concat(',', 'x'), h = 2, @@local.`i` = x'41', k.l = 3";
    assert_eq!(
        actions(&mysql(sql)),
        [
            set(Scope::Global, "a", literal("1")),
            set(Scope::Session, "b", literal("'x'")),
            set(Scope::Session, "c", Value::Default),
            set(Scope::Session, "d", literal("on")),
            set(Scope::Session, "e", Value::Expression),
            set(Scope::Next, "f", Value::Expression),
            set(Scope::Global, "g", Value::Expression),
            set(Scope::Global, "h", literal("2")),
            set(Scope::Session, "i", literal("x'41'")),
            set(Scope::Global, "k.l", literal("3")),
        ]
    );
    assert_eq!(
        actions(&mysql("set names 'utf8mb4' collate utf8mb4_bin, character set default")),
        [
            Action::SetNames {
                charset: Some(bytes("utf8mb4")),
                collation: Some(bytes("utf8mb4_bin"))
            },
            Action::SetCharacterSet(None)
        ]
    );
    assert_eq!(one(&mysql("set role `a`@`b`, c;")), Action::SetRole(bytes("`a`@`b`, c")));
    assert_eq!(one(&mysql("SET ROLE ALL EXCEPT x")), Action::SetRole(bytes("ALL EXCEPT x")));
    assert_eq!(one(&mysql("set resource group g")), Action::SetResourceGroup(bytes("g")));
    assert_eq!(
        one(&mysql("set transaction isolation level repeatable read, read only")),
        Action::SetTransactionNext(bytes("isolation level repeatable read, read only"))
    );
    let hint = mysql("select /*+ MAX_EXECUTION_TIME(5) SET_VAR(Sql_Mode = '') SET_VAR(b=1) */ 1");
    let details = hint.details.expect("details");
    assert_eq!(details.temporary_settings, [bytes("sql_mode"), bytes("b")]);
    let set = mariadb("set statement A=1, b=(select 1, 2) for create temporary table t (a int)");
    let details = set.details.clone().expect("details");
    assert_eq!(details.temporary_settings, [bytes("a"), bytes("b")]);
    assert!(matches!(one(&set), Action::CreateTemporaryTable { .. }));
}

#[test]
fn prepared_statements() {
    for (sql, source) in [
        ("prepare S from 'select ''a'', \\'b\\''", Source::Text(bytes("select 'a', 'b'"))),
        ("prepare `s` from \"select 1\"", Source::Text(bytes("select 1"))),
        ("prepare s from @A", Source::Variable(bytes("a"))),
        ("prepare s from concat('a', 'b')", Source::Expression),
        ("prepare s from 'a' 'b'", Source::Expression),
    ] {
        let Action::Prepare { name, source: found, prepared, .. } = one(&mysql(sql)) else {
            panic!("{sql}");
        };
        assert_eq!((&*name, &found), (&b"s"[..], &source), "{sql}");
        let known = matches!(source, Source::Text(_));
        assert_eq!(prepared.marks.has(Marks::OPAQUE), !known, "{sql}");
    }
    assert_eq!(
        one(&mysql("execute s using @a, @B")),
        Action::Execute { name: bytes("s"), using: vec![bytes("a"), bytes("b")] }
    );
    assert_eq!(one(&mysql("deallocate prepare S")), Action::Deallocate(bytes("s")));
    let immediate = mariadb("execute immediate 'set @b = 1, sql_mode = \"\"' using @a");
    assert_eq!(variables(&immediate), ["a=", "b="]);
    assert!(immediate.marks.has(Marks::SET_VARIABLE | Marks::EXECUTE_IMMEDIATE));
    assert_eq!(actions(&immediate).len(), 2);
}

#[test]
fn the_rest() {
    assert_eq!(one(&mysql("use `a``b`")), Action::Use(bytes("a`b")));
    assert_eq!(one(&mysql("call d.p(1)")), Action::Call(name("d.p")));
    assert_eq!(one(&mysql("savepoint Ab")), Action::Savepoint(bytes("Ab")));
    assert_eq!(one(&mysql("rollback to savepoint a")), Action::RollbackTo(bytes("a")));
    assert_eq!(one(&mysql("release savepoint a")), Action::ReleaseSavepoint(bytes("a")));
    assert_eq!(one(&mysql("drop schema if exists d")), Action::DropDatabase(bytes("d")));
    for (sql, then) in [
        ("commit work", AfterEnd::Default),
        ("commit work and chain", AfterEnd::Chain),
        ("rollback and no chain", AfterEnd::NoChain),
        ("rollback and no chain no release", AfterEnd::NoRelease),
        ("rollback release", AfterEnd::Release),
    ] {
        assert_eq!(one(&mysql(sql)), Action::EndTransaction { then }, "{sql}");
    }
    for (sql, words, connection) in [
        ("kill 15", "", true),
        ("kill connection 15", "connection", true),
        ("KILL QUERY 15", "QUERY", false),
        ("kill soft  query 15;", "soft  query", false),
    ] {
        let kill = Kill { words: bytes(words), connection, id: Some(15) };
        assert_eq!(one(&mariadb(sql)), Action::Kill(kill), "{sql}");
    }
    let own = Kill { words: bytes("query"), connection: false, id: None };
    assert_eq!(one(&mariadb("kill query connection_id ( )")), Action::Kill(own));
    for sql in
        ["kill connection_id() + 1", "kill user a", "kill query id 5", "kill 1 + 1", "kill 1.5"]
    {
        assert!(mariadb(sql).marks.has(Marks::KILL), "{sql}");
        assert_eq!(actions(&mariadb(sql)), [], "{sql}");
    }
}

#[test]
fn impure_names_are_found() {
    use crate::session::catalogue::{Body, Builder, Reach, RoutineKind};
    let dialect = dialect(Flavor::MySql);
    let mut builder = Builder::new(&dialect);
    let sql = |text: &'static str| Body::Sql { text: text.as_bytes(), sql_mode: b"" };
    builder.routine(b"Touch", RoutineKind::Function, sql("begin set @x = 1; return 1; end"));
    builder.routine(b"p", RoutineKind::Procedure, sql("do get_lock('a', 1)"));
    builder.trigger(b"audited", sql("set @who = user()"));
    builder.routine(b"calm", RoutineKind::Function, sql("return 1"));
    builder.routine(b"hidden", RoutineKind::Function, Body::Hidden);
    let catalogue = builder.build();
    let read = |sql: &str| analyze(sql.as_bytes(), &dialect, &catalogue);
    for (sql, variable) in [
        ("select touch(1)", "x="),
        ("select d.`TOUCH` (1)", "x="),
        ("insert into audited values (1)", "who="),
    ] {
        let analysis = read(sql);
        assert_eq!(variables(&analysis), [variable], "{sql}");
        assert!(analysis.marks.has(Marks::WRITES_VARIABLES), "{sql}");
        assert!(!analysis.marks.intersects(Marks::IMPURE | Marks::PURE_READ), "{sql}");
    }
    for sql in ["select touch from t", "select calm from t"] {
        assert_eq!(read(sql).marks, Marks::PURE_READ, "{sql}");
    }
    assert_eq!(read("select calm(1)").marks, Marks::FOREIGN_FUNCTION);
    let call = read("call d.P(1)");
    assert_eq!(call.marks, Marks::CALL | Marks::GET_LOCK);
    assert!(matches!(actions(&call)[..], [Action::Lock { name: None, .. }, Action::Call(_)]));
    assert_eq!(call.details.expect("details").impure.reach, Reach::USER_LOCKS);
    for sql in ["select hidden(1)", "select unknown(1)", "call unknown()", "set @a = `hidden`()"] {
        assert!(read(sql).marks.has(Marks::IMPURE), "{sql}");
    }
    let blind = Catalogue::default();
    for (sql, impure) in [
        ("select 1", false),
        ("select lower('A')", false),
        ("select f(1)", true),
        ("select * from t", true),
        ("insert into t values (1)", true),
        ("call p()", true),
        ("begin", false),
        ("show tables from d", false),
    ] {
        let marks = analyze(sql.as_bytes(), &dialect, &blind).marks;
        assert_eq!(marks.has(Marks::IMPURE), impure, "{sql}");
    }
}

#[test]
fn what_is_no_call_is_none() {
    for sql in [
        "insert into t (a) values (1)",
        "insert into d.t (a) values (1)",
        "insert low_priority t (a) values (1)",
        "replace `t` (a) values (1)",
        "create table t (a int(11), key k (a), constraint c check (a > 0))",
        "create index i on t (a)",
        "alter table t add index i (a)",
        "with c (a) as (select 1) select * from c",
        "select * from (select 1) t (a)",
        "select * from (select 1) as t (a)",
        "select * from t use index (i) where (a) in (1) and not (b) or exists (select 1)",
        "load data infile 'f' into table t (a, b)",
        "grant select (a) on t to u",
        "select cast(a as decimal(5,2)), json_value(b, '$.c' returning char(5)) from t",
    ] {
        assert!(!mysql(sql).marks.intersects(Marks::FOREIGN_FUNCTION | Marks::IMPURE), "{sql}");
    }
    assert!(mysql("create table t as select f(1)").marks.has(Marks::IMPURE));
    assert!(mysql("insert into t select f(1)").marks.has(Marks::IMPURE));
}

#[test]
fn later_statements_are_read_under_the_modes_set_before() {
    let read = |sql: &str| several(sql).marks;
    let hidden = "select '\\'; set role r; -- '";
    assert!(!several(hidden).marks.has(Marks::SET_ROLE));
    let set = "set sql_mode = 'NO_BACKSLASH_ESCAPES'; select '\\'; set role r; -- '";
    assert!(read(set).has(Marks::SET_ROLE) && !read(set).has(Marks::OPAQUE));
    for sql in [
        "set sql_mode = concat(@@sql_mode, ',ANSI'); select 1",
        "set sql_mode = default; select 1",
        "set names default; select 1",
        "execute s; select 1",
        "set character_set_client = @a; select 1",
    ] {
        assert!(read(sql).has(Marks::OPAQUE), "{sql}");
    }
    assert!(!read("set sql_mode = default; ").has(Marks::OPAQUE));
    let gbk = "set names gbk; select '\u{3b1}'";
    assert!(!read(gbk).has(Marks::OPAQUE));
    let ansi = "set session sql_mode = 'ANSI_QUOTES'; select \"a' \", @b";
    assert_eq!(variables(&several(ansi)), ["b"]);
}

#[test]
fn what_is_inserted_may_be_selected() {
    for sql in [
        "insert into t (a) select 5",
        "replace into t (select a from u)",
        "insert into t values ((select 4))",
        "with c as (select 1) insert into t select 2",
    ] {
        assert!(mysql(sql).inserts_selected(), "{sql}");
    }
    assert!(mysql("insert into t table u").inserts_selected());
    for sql in ["insert into t values (1)", "select 5", "update t set a = (select 5)"] {
        assert!(!mysql(sql).inserts_selected(), "{sql}");
    }
}
