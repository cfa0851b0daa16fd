//! MariaDB's sequences: what a session is told that it took last is what it took last, wherever it
//! took it, and whoever was there since.

use crate::pins::pinned;
use crate::support::accounts::APP;
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::server::Server;
use crate::support::servers;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

/// Two databases of the same make, for one test: the sessions through Millpond are in the second. Their
/// names are equally long.
#[derive(Clone, Copy)]
struct Databases([&'static str; 2]);

const OBJECTS: &[&str] = &[
    "CREATE SEQUENCE s",
    "CREATE SEQUENCE u START WITH 100",
    "CREATE SEQUENCE short MAXVALUE 2",
    "CREATE SEQUENCE back START WITH -5 INCREMENT BY -1 MAXVALUE -1 MINVALUE -100",
    "CREATE TABLE t (id BIGINT DEFAULT NEXTVAL(s) PRIMARY KEY, a INT)",
    "CREATE TABLE plain (id BIGINT PRIMARY KEY, a BIGINT)",
    "CREATE TABLE fired (id BIGINT, a INT)",
    "CREATE TRIGGER fires BEFORE INSERT ON fired FOR EACH ROW SET NEW.id = NEXT VALUE FOR u",
    "CREATE FUNCTION takes() RETURNS BIGINT RETURN NEXTVAL(s)",
    "CREATE VIEW v AS SELECT id, a FROM t",
];

fn servers_with_sequences() -> Option<&'static Server> {
    servers::available().contains(&Flavor::MariaDb).then(|| servers::shared(Flavor::MariaDb))
}

async fn make(server: &Server, databases: Databases, more: &[&str]) {
    let mut admin = server.admin().await;
    for database in databases.0 {
        for sql in [
            format!("DROP DATABASE IF EXISTS {database}"),
            format!("CREATE DATABASE {database}"),
            format!("GRANT ALL ON {database}.* TO app"),
        ] {
            admin.query_drop(sql).await.unwrap();
        }
        // Whose routines they are may see what is in them.
        let mut owner = server.connect(&APP, Some(database)).await.unwrap();
        for sql in OBJECTS.iter().chain(more) {
            owner.query_drop(*sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        owner.disconnect().await.unwrap();
    }
    admin.disconnect().await.unwrap();
}

/// What a statement gives: the columns' names and types, and the rows; or the error's number.
async fn said(client: &mut Conn, sql: &str, databases: Databases) -> String {
    let told = |error: mysql_async::Error| match error {
        mysql_async::Error::Server(error) => format!("error {}", error.code),
        error => format!("{error}"),
    };
    let run = async {
        // In the binary protocol, what is behind an exclamation mark.
        match sql.strip_prefix('!') {
            Some(sql) => shown(client.exec_iter(sql, ()).await?).await,
            None => shown(client.query_iter(sql).await?).await,
        }
    };
    let told = run.await.unwrap_or_else(told);
    told.replace(databases.0[1], databases.0[0])
}

async fn shown<P: mysql_async::prelude::Protocol>(
    mut result: mysql_async::QueryResult<'_, '_, P>,
) -> mysql_async::Result<String> {
    let mut shown = String::new();
    while !result.is_empty() {
        for column in result.columns_ref() {
            let flags = column.flags();
            let (kind, length) = (column.column_type(), column.column_length());
            shown += &format!("{} {kind:?} {length} {flags:?}, ", column.name_str());
        }
        let rows: Vec<Row> = result.collect().await?;
        shown += &format!("{rows:?}; ");
    }
    Ok(shown)
}

/// Lets sessions speak in turn, each line led by its session's number, on connections of their own and
/// through Millpond.
async fn compare(server: &Server, millpond: &Millpond, databases: Databases, script: &[&str]) {
    let mut direct: Vec<Conn> = Vec::new();
    let mut through: Vec<Conn> = Vec::new();
    for (at, line) in script.iter().enumerate() {
        let (number, sql) = line.split_once(' ').unwrap();
        let number: usize = number.parse().unwrap();
        while direct.len() <= number {
            direct.push(server.connect(&APP, Some(databases.0[0])).await.unwrap());
            let connected = millpond.connect(&APP, Some(databases.0[1])).await;
            let so_far = || format!("{:?}\n{}", pinned(millpond), script[..=at].join("\n"));
            through.push(connected.unwrap_or_else(|error| panic!("{error}: {}", so_far())));
        }
        let own = databases.0.map(|database| sql.replace('§', database));
        let right = said(&mut direct[number], &own[0], databases).await;
        let seen = said(&mut through[number], &own[1], databases).await;
        assert_eq!(right, seen, "{:?}\n{}", pinned(millpond), script[..=at].join("\n"));
    }
    for client in direct.into_iter().chain(through) {
        client.disconnect().await.unwrap();
    }
}

/// Each script, on each kind of pool.
fn both_ways(databases: [&'static str; 2], more: &[&str], scripts: &[&[&str]], pins: &str) {
    let databases = Databases(databases);
    let Some(server) = servers_with_sequences() else { return };
    servers::runtime().block_on(async {
        for hand_over in ["always", "when-needed"] {
            for size in [1, 2] {
                let pool = format!("max_size = {size}\nhand_over = \"{hand_over}\"\n");
                for script in scripts {
                    make(server, databases, more).await;
                    let settings = Settings { pool: pool.clone(), ..Settings::default() };
                    let millpond = Millpond::start(server, &settings);
                    compare(server, &millpond, databases, script).await;
                    let pinned = pinned(&millpond);
                    assert!(
                        pinned.iter().all(|line| !pins.is_empty() && line.contains(pins)),
                        "{pinned:?}\n{}",
                        script.join("\n")
                    );
                }
            }
        }
    });
}

/// Nothing that is asked of a sequence uses up what was said of the next transaction, or begins one.
#[test]
fn questions_are_no_part_of_a_transaction() {
    both_ways(
        ["seq_apart_direct", "seq_apart_behind"],
        &[],
        &[
            &[
                "0 SELECT NEXTVAL(s)",
                "0 SET TRANSACTION READ ONLY",
                "0 SELECT LASTVAL(s), NEXTVAL(s), LASTVAL(s)",
                "0 INSERT INTO plain VALUES (1, 1)",
                "1 SELECT NEXTVAL(u)",
                "0 INSERT INTO plain VALUES (2, 2)",
            ],
            &[
                "0 SET autocommit = 0",
                "0 INSERT INTO nosuch VALUES (NEXTVAL(s))",
                "0 SET TRANSACTION READ ONLY",
                "0 INSERT INTO plain VALUES (1, 1)",
            ],
        ],
        "transaction",
    );
}

#[test]
fn the_value_taken_last_is_the_sessions_own() {
    both_ways(
        ["seq_own_direct", "seq_own_behind"],
        &[],
        &[
            &[
                "0 SELECT NEXTVAL(s)",
                "1 SELECT LASTVAL(s)",
                "1 SELECT NEXTVAL(s) AS n",
                "0 SELECT LASTVAL(s)",
                "1 SELECT PREVIOUS VALUE FOR s, LASTVAL( u ) + 1",
                "2 SELECT NEXT VALUE FOR s",
                "0 SELECT LASTVAL(§.s), `s`.cycle_option FROM s",
                "1 SELECT LASTVAL(s) x, CONCAT(LASTVAL(s)), -LASTVAL(s)",
                "2 SELECT SETVAL(s, 50)",
                "2 SELECT LASTVAL(s)",
                "0 SELECT NEXTVAL(s)",
                "1 SELECT LASTVAL(s)",
                "0 SELECT LASTVAL(s)",
                "3 SELECT LASTVAL(s), LASTVAL(u)",
                "1 SELECT NEXTVAL(back)",
                "0 SELECT NEXTVAL(back)",
                "1 SELECT LASTVAL(back)",
            ],
            // The binary protocol.
            &[
                "0 !SELECT NEXTVAL(s)",
                "1 !SELECT LASTVAL(s)",
                "1 !SELECT NEXTVAL(s), 1",
                "0 !SELECT LASTVAL(s)",
                "1 !SELECT LASTVAL(s), LASTVAL(s)",
                "0 !SELECT NEXTVAL(s)",
                "0 !SELECT LASTVAL(s)",
                "1 !SELECT LASTVAL(s), LASTVAL(s)",
                "0 !SELECT LASTVAL(s), NEXTVAL(s), LASTVAL(s)",
                "1 !SELECT LASTVAL(s), NEXTVAL(s), LASTVAL(s)",
            ],
            // In one statement, what is taken before the question counts.
            &[
                "0 SELECT LASTVAL(s), NEXTVAL(s), LASTVAL(s)",
                "1 SELECT LASTVAL(s), NEXTVAL(s), LASTVAL(s)",
                "0 SELECT LASTVAL(s), NEXTVAL(s), LASTVAL(s)",
                "2 INSERT INTO plain SELECT 1, LASTVAL(s)",
                "1 INSERT INTO plain VALUES (2, NEXTVAL(s)), (LASTVAL(s), 3)",
                "0 SELECT * FROM plain ORDER BY id",
                "1 SELECT LASTVAL(s)",
                "0 UPDATE plain SET a = LASTVAL(s)",
                "0 SELECT NEXTVAL(s); SELECT LASTVAL(s)",
                "1 SELECT LASTVAL(s); SELECT NEXTVAL(s)",
                "1 SELECT * FROM plain WHERE a < LASTVAL(s) ORDER BY id",
            ],
            // Where no value was taken, the one before stays.
            &[
                "0 SELECT NEXTVAL(s)",
                "1 SELECT NEXTVAL(s) FROM plain",
                "1 SELECT LASTVAL(s)",
                "0 SELECT NEXTVAL(s) FROM plain",
                "2 DO NEXTVAL(s)",
                "0 SELECT LASTVAL(s)",
                "1 INSERT INTO nosuch VALUES (NEXTVAL(s))",
                "1 SELECT LASTVAL(s)",
                "1 SELECT NEXTVAL(nosuch)",
                "1 SELECT LASTVAL(nosuch)",
                "1 EXPLAIN SELECT NEXTVAL(s)",
                "0 SELECT IF(0, NEXTVAL(s), 1)",
                "1 SELECT LASTVAL(s)",
                "0 SELECT LASTVAL(s)",
                "2 SELECT LASTVAL(s)",
            ],
            &[
                "0 BEGIN",
                "0 SELECT NEXTVAL(s)",
                "0 ROLLBACK",
                "1 SET autocommit = 0",
                "1 SELECT NEXTVAL(s) FROM DUAL",
                "1 SET @a = NEXTVAL(s)",
                "1 COMMIT",
                "0 SELECT LASTVAL(s)",
                "1 SELECT LASTVAL(s), @a",
                "1 SELECT 1",
                "1 COMMIT",
                "0 SELECT NEXTVAL(short)",
                "1 SELECT NEXTVAL(short)",
                "1 SELECT NEXTVAL(short)",
                "1 SELECT LASTVAL(short)",
                "1 ROLLBACK",
                "0 SELECT LASTVAL(short)",
            ],
        ],
        "",
    );
}

#[test]
fn values_that_rows_take_by_default_are_the_sessions_own() {
    both_ways(
        ["seq_default_direct", "seq_default_behind"],
        &[],
        &[
            &[
                "0 INSERT INTO t (a) VALUES (1)",
                "1 SELECT LASTVAL(s)",
                "1 INSERT INTO t (a) VALUES (2)",
                "0 SELECT LASTVAL(s)",
                "1 SELECT LASTVAL(s)",
                "0 INSERT INTO t VALUES (50, 3)",
                "1 INSERT INTO t (a) VALUES (2) RETURNING id",
                "0 SELECT LASTVAL(s)",
                "0 INSERT INTO v (a) VALUES (4)",
                "1 SELECT LASTVAL(s)",
                "0 SELECT LASTVAL(s)",
                "2 SELECT LASTVAL(s), COUNT(*) FROM t",
                "2 INSERT INTO t VALUES (50, 3)",
                "2 SELECT LASTVAL(s)",
                "2 INSERT INTO t VALUES (DEFAULT, 3)",
                "0 SELECT LASTVAL(s)",
                "2 SELECT LASTVAL(s)",
                "0 UPDATE t SET id = DEFAULT WHERE id = 50",
                "2 SELECT LASTVAL(s)",
                "0 SELECT LASTVAL(s)",
                "1 INSERT INTO t (a) SELECT 1 FROM plain",
                "1 SELECT LASTVAL(s)",
            ],
            // A trigger's, and a function's.
            &[
                "0 INSERT INTO fired (a) VALUES (1)",
                "1 SELECT LASTVAL(u)",
                "1 INSERT INTO fired (a) VALUES (1), (2)",
                "0 SELECT LASTVAL(u), LASTVAL(s)",
                "1 SELECT LASTVAL(u)",
                "2 SELECT takes()",
                "0 SELECT LASTVAL(s)",
                "0 SELECT takes(), LASTVAL(s)",
                "2 SELECT LASTVAL(s)",
                "0 SELECT LASTVAL(s)",
                "2 SELECT * FROM fired ORDER BY id",
            ],
            // Tables that come later.
            &[
                "0 CREATE TABLE later (id BIGINT DEFAULT (NEXT VALUE FOR u), a INT)",
                "1 INSERT INTO later (a) VALUES (1)",
                "0 INSERT INTO later (a) VALUES (2)",
                "1 SELECT LASTVAL(u)",
                "0 SELECT LASTVAL(u)",
                "0 CREATE TABLE liked LIKE later",
                "1 INSERT INTO liked (a) VALUES (1)",
                "0 INSERT INTO liked (a) VALUES (1)",
                "1 SELECT LASTVAL(u)",
                "0 ALTER TABLE plain ALTER COLUMN id SET DEFAULT (NEXTVAL(s))",
                "1 INSERT INTO plain (a) VALUES (1)",
                "0 INSERT INTO plain (a) VALUES (1)",
                "1 SELECT LASTVAL(s)",
                "0 SELECT LASTVAL(s)",
            ],
        ],
        "",
    );
}

#[test]
fn sequences_that_are_dropped_and_other_names_of_them() {
    both_ways(
        ["seq_dropped_direct", "seq_dropped_behind"],
        &[],
        &[
            &[
                "0 SELECT NEXTVAL(s)",
                "1 SELECT NEXTVAL(s)",
                "0 ALTER SEQUENCE s RESTART 30",
                "0 SELECT LASTVAL(s)",
                "1 SELECT LASTVAL(s)",
                "0 CREATE OR REPLACE SEQUENCE s",
                "1 SELECT 1",
                "0 SELECT LASTVAL(s)",
                "0 SELECT NEXTVAL(s)",
                "1 SELECT NEXTVAL(s)",
                "0 DROP SEQUENCE s",
                "1 SELECT LASTVAL(s)",
                "0 CREATE SEQUENCE s",
                "0 SELECT LASTVAL(s)",
            ],
            &[
                "0 SET sql_mode = 'ORACLE'",
                "0 SELECT s.NEXTVAL FROM DUAL",
                "1 SELECT NEXTVAL(s)",
                "0 SELECT s.CURRVAL, \"s\".\"currval\", §.s.CurrVal FROM DUAL",
                "0 SELECT s.currval, §.s.nextval, s.currval",
                "1 SELECT NEXTVAL(s)",
                "0 SELECT s.currval AS c",
                "1 SELECT LASTVAL(s)",
            ],
            &[
                "0 USE §",
                "0 SELECT NEXTVAL(u)",
                "1 SELECT NEXTVAL(u)",
                "0 USE information_schema",
                "0 SELECT LASTVAL(§.u)",
                "1 SELECT LASTVAL(`§`.`u`)",
            ],
        ],
        "",
    );
}

/// What the session cannot be told in the question's place keeps the connection.
#[test]
fn stored_code_that_asks_for_last_values_keeps_the_connection() {
    both_ways(
        ["seq_stored_direct", "seq_stored_behind"],
        &["CREATE SEQUENCE told", "CREATE FUNCTION asks() RETURNS BIGINT RETURN LASTVAL(told)"],
        &[&[
            "0 SELECT NEXTVAL(s)",
            "1 SELECT asks(), LASTVAL(s)",
            "0 SELECT asks(), NEXTVAL(s)",
            "0 SELECT NEXTVAL(told)",
            "0 SELECT asks()",
            "0 SELECT NEXTVAL(u)",
            "0 SELECT asks(), LASTVAL(s), LASTVAL(u), LASTVAL(told)",
            "0 INSERT INTO t (a) VALUES (NEXTVAL(told))",
            "0 SELECT asks(), LASTVAL(s)",
        ]],
        "reason=\"sequence\"",
    );
}

#[test]
fn statements_prepared_by_text_that_ask_for_last_values_keep_the_connection() {
    both_ways(
        ["seq_text_direct", "seq_text_behind"],
        &[],
        &[&[
            "0 PREPARE p FROM 'SELECT LASTVAL(s)'",
            "0 EXECUTE p",
            "0 SELECT NEXTVAL(s)",
            "0 EXECUTE p",
            "0 SELECT LASTVAL(s)",
        ]],
        "reason=\"text_statement\"",
    );
}

/// A statement prepared by text takes values under its own names.
#[test]
fn statements_prepared_by_text_take_values() {
    both_ways(
        ["seq_taken_direct", "seq_taken_behind"],
        &[],
        &[&[
            "0 PREPARE p FROM 'SELECT NEXTVAL(s)'",
            "0 EXECUTE p",
            "1 SELECT NEXTVAL(s)",
            "0 USE information_schema",
            "0 EXECUTE p",
            "1 SELECT LASTVAL(s)",
            "0 SELECT LASTVAL(§.s)",
            "1 EXECUTE IMMEDIATE 'DO NEXTVAL(s)'",
            "0 SELECT LASTVAL(§.s)",
            "1 SELECT LASTVAL(s)",
        ]],
        "",
    );
}

/// Under table locks, a session may ask for hardly any sequence.
#[test]
fn locked_tables_lose_no_value() {
    both_ways(
        ["seq_tables_direct", "seq_tables_behind"],
        &[],
        &[&[
            "0 INSERT INTO t (a) VALUES (5), (6)",
            "0 SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1",
            "0 LOCK TABLES plain READ",
            "0 SELECT FOUND_ROWS() + 1",
            "0 SELECT LASTVAL(s)",
            "0 SET @a = LASTVAL(s), @b = NEXTVAL(u)",
            "0 UNLOCK TABLES",
            "1 SELECT LASTVAL(s)",
            "0 SELECT LASTVAL(s)",
        ]],
        "reason=\"table_lock\"",
    );
}

/// A value that cannot be asked for now stays where it is, with its session.
#[test]
fn a_locked_sequence_loses_no_value() {
    let Some(server) = servers_with_sequences() else { return };
    servers::runtime().block_on(async {
        const DATABASES: [&str; 2] = ["seq_locked_direct", "seq_locked_behind"];
        make(server, Databases(DATABASES), &[]).await;
        let pool = "max_size = 1\nhand_over = \"when-needed\"\n".to_owned();
        let millpond = Millpond::start(server, &Settings { pool, ..Settings::default() });
        let mut owner = millpond.connect(&APP, Some(DATABASES[1])).await.unwrap();
        let mut other = millpond.connect(&APP, Some(DATABASES[1])).await.unwrap();
        owner.query_drop("DO NEXTVAL(s)").await.unwrap();
        let mut admin = server.admin().await;
        admin.query_drop(format!("LOCK TABLES {}.s WRITE", DATABASES[1])).await.unwrap();
        let waiting = tokio::spawn(async move { other.query_first::<u8, _>("SELECT 1").await });
        // By then, the other has asked for the value.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        admin.query_drop("UNLOCK TABLES").await.unwrap();
        let last: Option<i64> = owner.query_first("SELECT LASTVAL(s)").await.unwrap();
        assert_eq!(last, Some(1));
        assert_eq!(waiting.await.unwrap().unwrap(), Some(1));
    });
}
