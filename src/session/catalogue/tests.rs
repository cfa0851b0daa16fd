//! What bodies are found to do, and what follows for those that use them.

use super::*;
use crate::session::lexer::Dialect;
use crate::session::server::{Flavor, ServerVersion};

fn dialect() -> Dialect {
    let version =
        ServerVersion { flavor: Flavor::MariaDb, number: (10, 11, 19), text: String::new() };
    Dialect::new(&version, b"", "utf8mb4")
}

fn sql(text: &str) -> Body<'_> {
    Body::Sql { text: text.as_bytes(), sql_mode: b"" }
}

fn merged<'a>(effects: impl Iterator<Item = &'a Effects>) -> Effects {
    effects.fold(Effects::default(), |mut all, one| {
        all.merge(one);
        all
    })
}

/// What a procedure with this body does.
fn procedure(body: &str) -> Effects {
    let mut builder = Builder::new(&dialect());
    builder.routine(b"p", RoutineKind::Procedure, sql(body));
    merged(builder.build().procedure(b"P"))
}

fn function(body: &str) -> Effects {
    let mut builder = Builder::new(&dialect());
    builder.routine(b"f", RoutineKind::Function, sql(body));
    merged(builder.build().function(b"F"))
}

#[test]
fn harmless_bodies_have_no_effects() {
    for body in [
        "return lower(x)",
        "begin declare a, b int default 1; set a = 2, b = a + 1; return a; end",
        "begin declare exit handler for sqlexception begin end; update t set x = 1, y = 2; end",
        "begin select count(*) into n from t; return last_insert_id(n); end",
        "begin if a = 1 then set new.x = '@a'; end if; end",
        "begin /* set @a = 1 */ delete from t where release_date = 'get_lock(1)'; end",
        "select `commit` from t",
    ] {
        assert_eq!(function(body), Effects::default(), "{body}");
    }
}

#[test]
fn effects_are_found() {
    for (body, reach) in [
        ("create temporary table t select 1", Reach::TEMPORARY_TABLES),
        ("drop table if exists t", Reach::TEMPORARY_TABLES),
        ("do get_lock('a', 1)", Reach::USER_LOCKS),
        ("do `release_lock`('a')", Reach::USER_LOCKS),
        ("begin set sql_mode = ''; end", Reach::SESSION_VARIABLES),
        ("begin set @@session.sql_mode = ''; end", Reach::SESSION_VARIABLES),
        ("begin declare a int; set a = 1, session sql_mode = ''; end", Reach::SESSION_VARIABLES),
        ("begin set session transaction read only; end", Reach::SESSION_VARIABLES),
        ("begin l: set transaction read only; end", Reach::NEXT_TRANSACTION),
        ("begin set role r; end", Reach::ROLE),
        ("begin set a.b = 1, names utf8; end", Reach::CHARACTER_SET),
        ("begin set character set utf8; end", Reach::CHARACTER_SET),
        ("begin start transaction; commit; end", Reach::TRANSACTION),
        ("savepoint a", Reach::TRANSACTION),
        ("insert into t values (1)", Reach::LAST_INSERT_ID),
        ("select last_insert_id(5)", Reach::LAST_INSERT_ID),
        ("begin flush tables with read lock; end", Reach::LOCKS),
        ("begin handler t open; end", Reach::LOCKS),
        ("select next value for s", Reach::BACKEND_LOCAL),
    ] {
        let effects = procedure(body);
        assert_eq!(effects.reach, reach, "{body}");
        assert_eq!(effects.user_variables, UserVariables::None, "{body}");
    }
    for (body, name) in [
        ("begin set @@sql_mode = ''; end", "sql_mode"),
        ("begin set @a = 1, @@`Time_Zone` := '+01:00'; end", "time_zone"),
    ] {
        let effects = procedure(body);
        assert!(effects.reach.contains(Reach::SESSION_VARIABLES), "{body}");
        assert_eq!(effects.silent_settings.len(), 1, "{body}");
        assert!(effects.silent_settings.contains(name.as_bytes()), "{body}");
    }
    assert!(procedure("set @@session.sql_mode = @@sql_mode").silent_settings.is_empty());
    let special = Reach::SPECIAL_VARIABLES;
    assert!(procedure("set @@rand_seed1 = 1").reach.contains(special));
    assert!(procedure("/*!50000 set timestamp = 1 */").reach.contains(special));
}

#[test]
fn user_variables_are_named() {
    let effects = procedure("begin set @A = 1; select 2 into @`b`; call q(@'c'); end");
    for name in ["a", "b", "c"] {
        assert!(effects.user_variables.contains(name.as_bytes()), "{name}");
    }
    assert!(!effects.user_variables.contains(b"d"));
}

#[test]
fn text_that_is_built_may_be_anything() {
    for body in ["begin prepare s from @x; execute s; end", "execute immediate x", "set @a = 'x"] {
        let effects = procedure(body);
        assert!(effects.reach.contains(Reach::EVERYTHING), "{body}");
        assert!(effects.user_variables.contains(b"any"), "{body}");
    }
}

#[test]
fn a_bodys_own_sql_mode_counts() {
    let mut builder = Builder::new(&dialect());
    let text = b"return \"a\\\" + @x + \\\" \"";
    let body = Body::Sql { text, sql_mode: b"ANSI_QUOTES" };
    builder.routine(b"ansi", RoutineKind::Function, body);
    builder.routine(b"plain", RoutineKind::Function, Body::Sql { text, sql_mode: b"" });
    let catalogue = builder.build();
    assert!(merged(catalogue.function(b"ansi")).user_variables.contains(b"x"));
    assert_eq!(merged(catalogue.function(b"plain")), Effects::default());
}

#[test]
fn effects_reach_all_that_use_them() {
    let mut builder = Builder::new(&dialect());
    builder.routine(b"a", RoutineKind::Procedure, sql("begin call d.B(1); end"));
    builder.view(b"v", b"select `d`.`g`(1) AS `x` from `w`");
    builder.view(b"w", b"select 1 AS `y`");
    builder.routine(b"b", RoutineKind::Procedure, sql("begin insert into t select 1; end"));
    builder.trigger(b"T", sql("begin set new.x = f(1); end"));
    builder.routine(b"f", RoutineKind::Function, sql("begin return g(1); end"));
    builder.routine(b"g", RoutineKind::Function, sql("begin set @deep = f(1); return 1; end"));
    builder.routine(b"pure", RoutineKind::Function, sql("return 1"));
    builder.view(b"hidden", b"");
    let catalogue = builder.build();
    let deep = |effects: Effects| effects.user_variables.contains(b"deep");
    assert!(deep(merged(catalogue.procedure(b"a"))));
    assert!(deep(merged(catalogue.procedure(b"b"))));
    assert!(deep(merged(catalogue.function(b"f"))));
    assert!(deep(merged(catalogue.table(b"t"))));
    assert!(deep(merged(catalogue.table(b"V"))));
    assert_eq!(merged(catalogue.table(b"hidden")), Effects::EVERYTHING);
    assert_eq!(catalogue.table(b"w").count(), 0);
    assert_eq!(merged(catalogue.function(b"pure")), Effects::default());
    assert_eq!(catalogue.function(b"pure").count(), 1);
    assert_eq!(catalogue.function(b"t").count(), 0);
    assert_eq!(catalogue.procedure(b"f").count(), 0);
}

#[test]
fn routines_in_packages_share_its_effects() {
    let mut builder = Builder::new(&dialect());
    let body = "as x int; procedure one as begin null; end; function two return int as begin \
                set @a = 1; return 1; end; end";
    builder.routine(b"pack", RoutineKind::Package, sql(body));
    builder.routine(b"secret", RoutineKind::Package, Body::Hidden);
    let catalogue = builder.build();
    assert!(merged(catalogue.procedure(b"one")).user_variables.contains(b"a"));
    assert!(merged(catalogue.function(b"two")).user_variables.contains(b"a"));
    // Whatever a hidden package holds is called under its name.
    assert_eq!(merged(catalogue.table(b"secret")), Effects::EVERYTHING);
}

#[test]
fn names_are_compared_as_collations_might() {
    let mut builder = Builder::new(&dialect());
    builder.routine("caf\u{e9}".as_bytes(), RoutineKind::Function, Body::Hidden);
    builder.routine(b"plain", RoutineKind::Function, Body::Foreign);
    let catalogue = builder.build();
    for name in ["caf\u{e9}", "CAF\u{c9}", "cafe", "plain", "PLAIN", "pla\u{ed}n"] {
        assert_eq!(catalogue.function(name.as_bytes()).count(), 1, "{name}");
    }
    for name in ["caf", "cafes", "", "plai"] {
        assert_eq!(catalogue.function(name.as_bytes()).count(), 0, "{name}");
    }
    assert_eq!(catalogue.impure_count(), 2);
    assert!(catalogue.has_functions() && !catalogue.has_tables());
    assert!(Catalogue::default().is_blind() && !Catalogue::empty().is_blind());
}
