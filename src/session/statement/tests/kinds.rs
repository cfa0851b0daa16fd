//! The sort of a statement and how many there are.

use super::*;
use StatementKind as Kind;

#[test]
fn first_words_tell_the_sort() {
    for (sql, kind) in [
        ("", Kind::Empty),
        (" \n\t", Kind::Empty),
        ("-- nothing", Kind::Empty),
        ("/* nothing */", Kind::Empty),
        ("select 1", Kind::Select),
        ("SELECT 1", Kind::Select),
        ("/* x */ SeLeCt 1", Kind::Select),
        ("((select 1) union (select 2))", Kind::Select),
        ("table t", Kind::Select),
        ("values row(1)", Kind::Select),
        ("with a as (select 1) select * from a", Kind::Select),
        (
            "with recursive a(b) as (select 1 union all select 2) update t, a set x = 1",
            Kind::Update,
        ),
        ("with a as (select 1) delete from t where x in (select * from a)", Kind::Delete),
        ("insert into t values (1)", Kind::Insert),
        ("replace into t values (1)", Kind::Replace),
        ("update t set a = 1", Kind::Update),
        ("delete from t", Kind::Delete),
        ("do sleep(1)", Kind::Do),
        ("set @a = 1", Kind::Set),
        ("begin", Kind::Begin),
        ("begin work", Kind::Begin),
        ("start transaction read only", Kind::Begin),
        ("start replica", Kind::Administration),
        ("commit and chain", Kind::Commit),
        ("rollback", Kind::Rollback),
        ("rollback to savepoint a", Kind::Rollback),
        ("savepoint a", Kind::Savepoint),
        ("release savepoint a", Kind::ReleaseSavepoint),
        ("show tables", Kind::Show),
        ("explain select 1", Kind::Explain),
        ("desc t", Kind::Describe),
        ("explain analyze select 1", Kind::Explain),
        ("explain analyze format=tree update t set a=1", Kind::Update),
        ("analyze table t", Kind::Maintenance),
        ("use d", Kind::Use),
        ("call p()", Kind::Call),
        ("prepare s from 'select 1'", Kind::Prepare),
        ("execute s", Kind::Execute),
        ("deallocate prepare s", Kind::Deallocate),
        ("drop prepare s", Kind::Deallocate),
        ("kill 5", Kind::Kill),
        ("load data infile 'x' into table t", Kind::LoadData),
        ("load index into cache t", Kind::Maintenance),
        ("lock tables t read", Kind::LockTables),
        ("unlock tables", Kind::UnlockTables),
        ("lock instance for backup", Kind::LockInstance),
        ("unlock instance", Kind::UnlockInstance),
        ("handler t open", Kind::Handler),
        ("xa start 'a'", Kind::Xa),
        ("flush tables", Kind::Flush),
        ("create table t (a int)", Kind::CreateTable),
        ("create temporary table t (a int)", Kind::CreateTemporaryTable),
        ("create /*!32302 temporary */ table t (a int)", Kind::CreateTemporaryTable),
        ("create definer = `view`@localhost procedure p() select 1", Kind::CreateRoutine),
        (
            "create definer=root@localhost trigger t after insert on x for each row set @a=1",
            Kind::CreateRoutine,
        ),
        ("create function f returns string soname 'f.so'", Kind::CreateRoutine),
        ("create or replace algorithm=merge view v as select 1", Kind::Ddl),
        ("create unique index i on t(a)", Kind::Ddl),
        ("create user u", Kind::Account),
        ("grant all on *.* to u", Kind::Account),
        ("rename user a to b", Kind::Account),
        ("rename table a to b", Kind::RenameTable),
        ("alter table t add a int", Kind::AlterTable),
        ("alter user u identified by 'x'", Kind::Account),
        ("drop table t", Kind::DropTable),
        ("drop temporary table t", Kind::DropTable),
        ("drop view v", Kind::Ddl),
        ("drop database d", Kind::DropDatabase),
        ("truncate t", Kind::TruncateTable),
        ("get diagnostics @a = number", Kind::Diagnostics),
        ("signal sqlstate '45000'", Kind::Diagnostics),
        ("resignal", Kind::Resignal),
        ("help 'select'", Kind::Help),
        ("purge binary logs to 'x'", Kind::Administration),
        ("nonsense", Kind::Other),
        ("'text'", Kind::Other),
    ] {
        assert_eq!(mysql(sql).kind, kind, "{sql}");
    }
}

#[test]
fn mariadb_has_sorts_of_its_own() {
    for (sql, kind) in [
        ("backup stage start", Kind::Backup),
        ("execute immediate 'select 1'", Kind::Execute),
        ("begin not atomic set @a = 1; end", Kind::Compound),
        ("if 1 then select 1; end if", Kind::Compound),
        ("here: begin not atomic execute immediate 'x'; end", Kind::Compound),
        ("`here`: loop leave here; end loop", Kind::Compound),
        ("analyze select 1", Kind::Explain),
        ("analyze format=json delete from t", Kind::Delete),
        ("set statement max_statement_time = 1 for select 1", Kind::Select),
        (
            "set statement sort_buffer_size=(1+1), join_buffer_size=2 for insert into t values(1)",
            Kind::Insert,
        ),
        ("create temporary sequence s", Kind::CreateTemporaryTable),
        ("create or replace package body p as end", Kind::CreateRoutine),
        ("/*M!100000 select */ 1", Kind::Select),
    ] {
        assert_eq!(mariadb(sql).kind, kind, "{sql}");
    }
    assert!(mariadb("begin not atomic set @a = 1; end").marks.has(Marks::OPAQUE));
}

#[test]
fn statements_are_counted_where_several_are_allowed() {
    for (sql, count) in [
        ("", 0),
        (";", 1),
        ("select 1", 1),
        ("select 1;", 1),
        ("select 1;  \n", 1),
        ("select 1; -- end", 2),
        ("select 1; select 2", 2),
        ("select 1; select 2; ", 2),
        ("select ';'; select `;`; select \";\" /* ; */ # ;\n; select 4", 4),
        ("insert into t values (';'); select 2", 2),
    ] {
        assert_eq!(several(sql).count, count, "{sql}");
    }
    let analysis = several("set @a=1; select @b; commit");
    let details = analysis.details.expect("details");
    assert_eq!(details.statements, [Kind::Set, Kind::Select, Kind::Commit]);
    let placed: Vec<_> = details.actions.iter().map(|placed| placed.statement).collect();
    assert_eq!(placed, [2]);
}

#[test]
fn a_semicolon_divides_nothing_where_one_statement_is_allowed() {
    assert_eq!(mysql("select 1; select 2").count, 1);
    assert!(mysql("select 1; select @a").marks.has(Marks::USER_VARIABLES | Marks::OPAQUE));
}

#[test]
fn a_routines_body_does_not_run_when_it_is_made() {
    let sql = "create procedure p() begin set @a = 1; unlock tables; commit; end";
    let alone = mysql(sql);
    assert_eq!(alone.marks, Marks::DDL_ROUTINE | Marks::ENDS_TRANSACTION);
    assert_eq!(alone.details, None);
    // Where statements may follow, the body's end is not searched for.
    let among = several(sql);
    assert!(among.marks.has(Marks::UNCERTAIN | Marks::UNLOCK_TABLES));
    assert!(!several("create procedure p() select 1").marks.has(Marks::UNCERTAIN));
}
