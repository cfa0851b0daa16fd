//! Exactly which marks a text gets.

use super::*;
use Marks as M;

#[track_caller]
fn check(analyze: fn(&str) -> Analysis, table: &[(&str, Marks)]) {
    for (sql, marks) in table {
        assert_eq!(analyze(sql).marks, *marks, "{sql}");
    }
}

#[test]
fn harmless_reads_are_pure() {
    for sql in [
        "SELECT c FROM sbtest1 WHERE id=123456",
        "select count(*), max(a), concat('x', lower(b)) from t where a in (1,2) and b is not null",
        "select '@a', \"@b\", `@c`, 'x' 'y' from t -- @d\n",
        "select * from t # get_lock('a', 1)",
        "select /* last_insert_id() */ 1",
        "select _utf8mb4'@a', n'@b', x'40', 0x40, b'1'",
        "show tables",
        "desc t",
        "explain select * from t",
        "select a.last_insert_id, row_count from t a",
        "(select 1) union (select 2) order by 1 limit 1",
        "select 'it''s', 'it\\'s @a', 1",
        "table t",
    ] {
        let analysis = mysql(sql);
        assert_eq!(analysis.marks, M::PURE_READ, "{sql}");
        let found = Details { finds_more: true, ..Details::default() };
        let details = sql.contains("union").then(|| Box::new(found));
        assert_eq!(analysis.details, details, "{sql}");
    }
}

#[test]
fn functions_of_the_session() {
    check(
        mysql,
        &[
            ("select last_insert_id(), 1", M::LAST_INSERT_ID_READ | M::PURE_READ),
            ("select last_insert_id ( ), 1", M::LAST_INSERT_ID_READ | M::PURE_READ),
            ("select LAST_INSERT_ID(/* */), 1", M::LAST_INSERT_ID_READ | M::PURE_READ),
            ("select last_insert_id(5)", M::LAST_INSERT_ID_SET),
            ("update t set a = last_insert_id(a + 1)", M::LAST_INSERT_ID_SET),
            ("select @@identity + @@session.last_insert_id", M::LAST_INSERT_ID_READ | M::PURE_READ),
            ("select `last_insert_id`(), 1", M::LAST_INSERT_ID_READ | M::PURE_READ),
            ("select row_count(), 1", M::ROW_COUNT | M::PURE_READ),
            ("select found_rows(), 1", M::FOUND_ROWS | M::PURE_READ),
            ("select sql_calc_found_rows * from t", M::SQL_CALC_FOUND_ROWS),
            ("select connection_id(), @@pseudo_thread_id", M::CONNECTION_ID | M::PURE_READ),
            ("select get_lock('a', 1), 2", M::GET_LOCK),
            ("select `GET_LOCK` ('a', 1), 2", M::GET_LOCK),
            ("select release_lock('a'), 2", M::RELEASE_LOCK),
            ("do release_all_locks()", M::RELEASE_ALL_LOCKS),
            ("select is_used_lock('a')", M::IS_USED_LOCK | M::PURE_READ),
            ("select is_free_lock('a')", M::PURE_READ),
            ("select @@warning_count + 1", M::SHOW_DIAGNOSTICS | M::PURE_READ),
            ("select 1 into outfile '/tmp/x'", M::NONE),
            ("select 1 into dumpfile '/tmp/x'", M::NONE),
            ("select @@error_count, 1", M::SHOW_DIAGNOSTICS | M::PURE_READ),
            ("show warnings limit 1", M::SHOW_DIAGNOSTICS | M::PURE_READ),
            ("show count(*) errors", M::SHOW_DIAGNOSTICS | M::PURE_READ),
            ("select my_function(1)", M::FOREIGN_FUNCTION | M::IMPURE),
            ("select d.lower(1)", M::FOREIGN_FUNCTION | M::IMPURE),
            ("select a from t where a is null", M::IS_NULL | M::PURE_READ),
            ("select a from t for update", M::LOCKING_READ | M::PURE_READ),
            ("select a from t lock in share mode", M::LOCKING_READ | M::PURE_READ),
        ],
    );
}

#[test]
fn names_in_other_letters_may_be_the_servers() {
    assert!(mysql("select last_\u{130}nsert_id()").marks.has(M::OPAQUE));
    assert!(mysql("select `g\u{e9}t_lock`('a', 1)").marks.has(M::OPAQUE));
    assert!(!mysql("insert into k\u{fc}nden (a) values (1)").marks.has(M::OPAQUE));
    assert!(mysql("select @\u{e9}").marks.has(M::OPAQUE));
    assert!(mysql("select @'\u{e9}'").marks.has(M::OPAQUE));
    assert!(mysql("set \u{130}dentity = 5").marks.has(M::OPAQUE));
}

#[test]
fn variables_of_the_user() {
    let (read, write) = (M::USER_VARIABLES, M::USER_VARIABLES | M::WRITES_VARIABLES);
    check(
        mysql,
        &[
            ("select @a", read),
            ("select @a = 1", read),
            ("select @a := 1", write),
            ("set @a = @b", write),
            ("set @a := 1", write),
            ("select 1 into @a", write),
            ("call p(@a)", write | M::CALL | M::IMPURE),
            ("get diagnostics @n = number", write | M::GET_DIAGNOSTICS),
            ("load data infile 'f' into table t (a, @b) set c = @b + 1", write),
            ("execute s using @a", write | M::TEXT_EXECUTE),
            ("create user 'a'@'b', c@d", M::ENDS_TRANSACTION | M::PRIVILEGES),
            ("grant select on t to a@localhost", M::ENDS_TRANSACTION | M::PRIVILEGES),
            ("create definer=`a`@`b` view v as select 1", M::DDL_ROUTINE | M::ENDS_TRANSACTION),
        ],
    );
    let sql = "select @A, @`b c`, @'D''d', @\"e\\n\", @f.g$h into @i, @`J`";
    assert_eq!(variables(&mysql(sql)), ["a", "b c", "d'd", "e\n", "f.g$h", "i=", "j="]);
    assert_eq!(variables(&mysql("select @a, @A := 2, @'a  '")), ["a="]);
    assert_eq!(variables(&mysql("set @a = 1, @b = @c")), ["a=", "b=", "c"]);
}

#[test]
fn tables_and_locks() {
    let commits = M::ENDS_TRANSACTION;
    check(
        mysql,
        &[
            ("create temporary table t (a int)", M::TEMP_TABLE_CREATE),
            ("create  temporary\ntable if not exists t select 1", M::TEMP_TABLE_CREATE),
            ("create /* */ temporary table t like u", M::TEMP_TABLE_CREATE),
            ("drop table t", M::TABLE_DROP | commits),
            ("drop temporary table if exists t, u", M::TABLE_DROP),
            ("alter table t rename to u", M::TABLE_RENAME | M::DDL_ROUTINE | commits),
            ("alter table t rename column a to b, rename index i to j", commits),
            ("alter table t add a int", commits),
            ("rename table t to u", M::TABLE_RENAME | M::DDL_ROUTINE | commits),
            ("lock tables t write", M::LOCK_TABLES | commits),
            ("lock table t read", M::LOCK_TABLES | commits),
            ("unlock tables", M::UNLOCK_TABLES),
            ("flush tables with read lock", M::FLUSH_LOCK | commits),
            ("flush local tables t, u with read lock", M::FLUSH_LOCK | commits),
            ("flush tables t for export", M::FLUSH_LOCK | commits),
            ("flush tables", commits),
            ("lock instance for backup", M::LOCK_INSTANCE),
            ("unlock instance", M::UNLOCK_INSTANCE),
            ("handler t open as u", M::HANDLER_OPEN),
            ("handler u read first", M::HANDLER_READ),
            ("handler u close", M::HANDLER_CLOSE),
            ("drop database d", M::DROP_DATABASE | M::DDL_ROUTINE | commits),
        ],
    );
    check(
        mariadb,
        &[
            ("backup stage start", M::BACKUP),
            ("backup lock t", M::BACKUP),
            ("create or replace temporary table t (a int)", M::TEMP_TABLE_CREATE),
            ("select next value for s", M::BACKEND_LOCAL_WRITE),
            ("select nextval(s)", M::BACKEND_LOCAL_WRITE),
            ("select lastval(s)", M::BACKEND_LOCAL_READ | M::PURE_READ),
            ("select previous value for s", M::BACKEND_LOCAL_READ | M::PURE_READ),
            ("select @@last_gtid", M::BACKEND_LOCAL_READ | M::PURE_READ),
        ],
    );
}

#[test]
fn settings() {
    let set = M::SET_VARIABLE;
    check(
        mysql,
        &[
            ("set names utf8mb4", M::SET_NAMES),
            ("set names default", M::SET_NAMES),
            ("set names 'latin1' collate latin1_bin", M::SET_NAMES),
            ("set character set utf8mb4", M::SET_CHARACTER_SET),
            ("set charset latin1", M::SET_CHARACTER_SET),
            ("set sql_mode = ''", set),
            ("set session sql_mode = ''", set),
            ("set @@session.sql_mode = ''", set),
            ("set @@sql_mode = ''", set),
            ("set global sql_mode = ''", M::SET_GLOBAL),
            ("set @@global.sql_mode = ''", M::SET_GLOBAL),
            ("set persist sql_mode = ''", M::SET_GLOBAL),
            ("set @@persist_only.sql_mode = ''", M::SET_GLOBAL),
            ("set autocommit = 0", set),
            ("set autocommit = ON", set | M::ENDS_TRANSACTION),
            ("set last_insert_id = 5", set | M::LAST_INSERT_ID_SET),
            ("set insert_id = 5", set | M::SPECIAL_VARIABLE),
            ("set session timestamp = default", set | M::SPECIAL_VARIABLE),
            ("set `rand_seed1` = 5, sql_mode = ''", set | M::SPECIAL_VARIABLE),
            ("set session_track_schema = 1", set | M::SESSION_TRACK),
            ("select @@session_track_gtids", M::SESSION_TRACK | M::PURE_READ),
            ("select @@`session_track_gtids`", M::SESSION_TRACK | M::PURE_READ),
            ("show variables", M::SHOW_VARIABLES | M::PURE_READ),
            ("show session variables like 'a'", M::SHOW_VARIABLES | M::PURE_READ),
            ("show global variables", M::PURE_READ),
            (
                "select * from performance_schema.session_variables",
                M::SHOW_VARIABLES | M::PURE_READ,
            ),
            ("select * from `SESSION_VARIABLES`", M::SHOW_VARIABLES | M::PURE_READ),
            ("set transaction read only", M::SET_TRANSACTION_NEXT),
            ("set session transaction read only", set),
            ("set global transaction read only", M::SET_GLOBAL),
            ("set @@transaction_isolation = 'SERIALIZABLE'", set | M::SET_TRANSACTION_NEXT),
            ("set transaction_isolation = 'SERIALIZABLE'", set),
            ("set role r", M::SET_ROLE),
            ("set default role r to u", M::PRIVILEGES),
            ("set resource group g", M::SET_RESOURCE_GROUP),
            ("select /*+ SET_VAR(sort_buffer_size = 5) */ 1", M::SET_VAR_HINT),
            ("select /*+ NO_INDEX(t) */ 1", M::PURE_READ),
            ("/*!40101 SET NAMES utf8 */", M::SET_NAMES),
            ("/*!99999 SET NAMES utf8 */ select 1", M::PURE_READ),
        ],
    );
    check(
        mariadb,
        &[
            ("set statement sql_mode='' for select 1", M::SET_STATEMENT),
            ("/*!50701 set @a = 1 */ select 1", M::PURE_READ),
            ("/*M!50701 set role r */", M::SET_ROLE),
            ("/*!100100 set role r */", M::SET_ROLE),
            ("set skip_replication = 1", set | M::SPECIAL_VARIABLE),
        ],
    );
}

#[test]
fn transactions_and_prepared_statements() {
    let ends = M::ENDS_TRANSACTION;
    let begins = ends | M::BEGINS_TRANSACTION;
    check(
        mysql,
        &[
            ("begin", begins),
            ("start transaction with consistent snapshot", begins),
            ("commit", ends),
            ("rollback and chain", ends),
            ("commit release", ends | M::RELEASE_CONNECTION),
            ("commit no release", ends),
            ("rollback work to a", M::SAVEPOINT),
            ("savepoint a", M::SAVEPOINT),
            ("release savepoint a", M::SAVEPOINT),
            ("xa start 'a'", M::XA),
            ("prepare s from 'select 1'", M::TEXT_PREPARE),
            ("prepare s from 'select @a'", M::TEXT_PREPARE | M::USER_VARIABLES),
            ("prepare s from 'set session_track_schema=0'", M::TEXT_PREPARE | M::SESSION_TRACK),
            ("execute s", M::TEXT_EXECUTE),
            ("drop prepare s", M::TEXT_DEALLOCATE),
            ("kill query 5", M::KILL),
            ("load data local infile 'x' into table t", M::LOAD_DATA_LOCAL),
            ("load data low_priority local infile 'x' into table t", M::LOAD_DATA_LOCAL),
            ("call p()", M::CALL | M::IMPURE),
        ],
    );
    check(
        mariadb,
        &[
            ("execute immediate 'set role r'", M::EXECUTE_IMMEDIATE | M::SET_ROLE),
            ("execute immediate concat('set', ' role r')", M::EXECUTE_IMMEDIATE | M::OPAQUE),
        ],
    );
}

#[test]
fn orders_for_millpond_stand_in_front() {
    let pure = M::PURE_READ;
    let without = |marks: Marks| marks.without(pure);
    assert_eq!(without(mysql("/* millpond: pin */ select 1").marks), M::HINT_PIN);
    let dedicated = mysql("/* millpond: dedicated */ select 1");
    assert_eq!(without(dedicated.marks), M::HINT_PIN);
    assert!(dedicated.details.is_some_and(|details| details.dedicated));
    let ignores = mysql("/* millpond: ignore Time_Zone, @x,sql_mode */ set time_zone = 'SYSTEM'");
    let ignored: Vec<_> = ignores.temporary_settings().iter().map(|name| &**name).collect();
    assert_eq!(ignored, [&b"time_zone"[..], b"@x"]);
    assert!(mysql("/* millpond: ignored x */ do 1").temporary_settings().is_empty());
    assert_eq!(without(mysql(" /*millpond:share*/ select 1").marks), M::HINT_SHARE);
    assert_eq!(mysql("select /* millpond: pin */ 1").marks, pure);
    assert_eq!(mysql("/* millpond: fly */ select 1").marks, pure);
    assert_eq!(mysql("/* say millpond: pin */ select 1").marks, pure);
}

#[test]
fn what_cannot_be_read_is_opaque() {
    for sql in
        ["select 'a", "select `a", "select /* ", "select /*! 1", "select 1.5e-- x", "a\0b", "foo"]
    {
        assert!(mysql(sql).marks.has(M::OPAQUE), "{sql}");
    }
    assert_eq!(mysql("\0\0 select 1").marks, M::PURE_READ);
}
