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
        let action = Action::CreateTemporaryTable { name: name("D.t`x"), existing };
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
    assert!(mysql("drop table 'a'").marks.contains(Marks::UNCERTAIN));
}

#[test]
fn locks() {
    let lock = |function, name: Option<&str>, place| Action::Lock {
        function,
        name: name.map(Into::into),
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
        Action::HandlerOpen { table: name("d.t"), alias: "h".into() }
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
    let set = |scope, name: &str, value| Action::SetVariable { scope, name: name.into(), value };
    let literal = |text: &str| Value::Literal(text.into());
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
                charset: Some("utf8mb4".into()),
                collation: Some("utf8mb4_bin".into())
            },
            Action::SetCharacterSet(None)
        ]
    );
    assert_eq!(one(&mysql("set role `a`@`b`, c;")), Action::SetRole("`a`@`b`, c".into()));
    assert_eq!(one(&mysql("SET ROLE ALL EXCEPT x")), Action::SetRole("ALL EXCEPT x".into()));
    assert_eq!(one(&mysql("set resource group g")), Action::SetResourceGroup("g".into()));
    assert_eq!(
        one(&mysql("set transaction isolation level repeatable read, read only")),
        Action::SetTransactionNext("isolation level repeatable read, read only".into())
    );
    let hint = mysql("select /*+ MAX_EXECUTION_TIME(5) SET_VAR(Sql_Mode = '') SET_VAR(b=1) */ 1");
    let details = hint.details.expect("details");
    assert_eq!(details.statement_variables, [b"sql_mode".to_vec(), b"b".to_vec()]);
    let set = mariadb("set statement A=1, b=(select 1, 2) for create temporary table t (a int)");
    let details = set.details.clone().expect("details");
    assert_eq!(details.statement_variables, [b"a".to_vec(), b"b".to_vec()]);
    assert!(matches!(one(&set), Action::CreateTemporaryTable { .. }));
}

#[test]
fn prepared_statements() {
    let prepare = |source| Action::Prepare { name: "s".into(), source };
    for (sql, source) in [
        ("prepare S from 'select ''a'', \\'b\\''", Source::Text("select 'a', 'b'".into())),
        ("prepare `s` from \"select 1\"", Source::Text("select 1".into())),
        ("prepare s from @A", Source::Variable("a".into())),
        ("prepare s from concat('a', 'b')", Source::Expression),
        ("prepare s from 'a' 'b'", Source::Expression),
    ] {
        assert_eq!(one(&mysql(sql)), prepare(source), "{sql}");
    }
    assert_eq!(
        one(&mysql("execute s using @a, @B")),
        Action::Execute { name: "s".into(), using: vec!["a".into(), "b".into()] }
    );
    assert_eq!(one(&mysql("deallocate prepare S")), Action::Deallocate("s".into()));
    let immediate = mariadb("execute immediate 'set @b = 1, sql_mode = \"\"' using @a");
    assert_eq!(variables(&immediate), ["a=", "b="]);
    assert!(immediate.marks.contains(Marks::SET_VARIABLE | Marks::EXECUTE_IMMEDIATE));
    assert_eq!(actions(&immediate).len(), 2);
}

#[test]
fn the_rest() {
    assert_eq!(one(&mysql("use `a``b`")), Action::Use("a`b".into()));
    assert_eq!(one(&mysql("call d.p(1)")), Action::Call(name("d.p")));
    assert_eq!(one(&mysql("savepoint Ab")), Action::Savepoint("Ab".into()));
    assert_eq!(one(&mysql("rollback to savepoint a")), Action::RollbackTo("a".into()));
    assert_eq!(one(&mysql("release savepoint a")), Action::ReleaseSavepoint("a".into()));
    assert_eq!(one(&mysql("drop schema if exists d")), Action::DropDatabase("d".into()));
    for (sql, then) in [
        ("commit", AfterEnd::Default),
        ("commit work and chain", AfterEnd::Chain),
        ("rollback and no chain no release", AfterEnd::NoChain),
        ("rollback release", AfterEnd::Release),
    ] {
        assert_eq!(one(&mysql(sql)), Action::EndTransaction { then }, "{sql}");
    }
    let id = |id, what, digits| Action::Kill(KillTarget::Connection { id, what, digits });
    for (sql, action) in [
        ("kill 15", id(15, KillWhat::Connection, 5..7)),
        ("kill connection 15", id(15, KillWhat::Connection, 16..18)),
        ("KILL QUERY 15", id(15, KillWhat::Query, 11..13)),
        ("kill soft query 15;", id(15, KillWhat::Query, 16..18)),
        ("kill connection_id()", Action::Kill(KillTarget::Other)),
        ("kill user a", Action::Kill(KillTarget::Other)),
        ("kill query id 5", Action::Kill(KillTarget::Other)),
        ("kill 1 + 1", Action::Kill(KillTarget::Other)),
        ("kill 1.5", Action::Kill(KillTarget::Other)),
    ] {
        assert_eq!(one(&mariadb(sql)), action, "{sql}");
    }
}

#[test]
fn impure_names_are_found() {
    use crate::session::catalogue::{Body, Builder, Effects, Reach, RoutineKind};
    let dialect = dialect(Flavor::MySql);
    let mut builder = Builder::new(&dialect);
    let sql = |text: &'static str| Body::Sql { text: text.as_bytes(), sql_mode: b"" };
    builder.routine(b"Touch", RoutineKind::Function, sql("begin set @x = 1; return 1; end"));
    builder.routine(b"p", RoutineKind::Procedure, sql("do get_lock('a', 1)"));
    builder.trigger(b"audited", sql("set @who = user()"));
    let catalogue = builder.build();
    let impure = |sql: &str| {
        let analysis = analyze(sql.as_bytes(), &dialect, &catalogue);
        assert_eq!(analysis.marks.contains(Marks::IMPURE), analysis.details.is_some(), "{sql}");
        analysis.details.map(|details| details.impure).unwrap_or_default()
    };
    assert!(impure("select touch(1)").user_variables.contains(b"x"));
    assert!(impure("select d.`TOUCH` (1)").user_variables.contains(b"x"));
    assert!(impure("insert into audited values (1)").user_variables.contains(b"who"));
    assert_eq!(impure("select touch from t"), Effects::default());
    let call = analyze(b"call d.P(1)", &dialect, &catalogue).details.expect("details");
    assert_eq!(call.impure.reach, Reach::USER_LOCKS);
    let blind = Catalogue::blind();
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
        assert_eq!(marks.contains(Marks::IMPURE), impure, "{sql}");
    }
}
