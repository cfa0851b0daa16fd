//! The story through `sqlx`, whose every query is a prepared statement that it keeps.

use futures_util::TryStreamExt;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlPoolOptions, MySqlRow, MySqlSslMode};
use sqlx::{Column, ConnectOptions, Connection, Executor, Row, TypeInfo, ValueRef};

use crate::support::accounts::APP;
use crate::twin::{Place, Story, Tls};

fn options(place: &Place) -> MySqlConnectOptions {
    let options = MySqlConnectOptions::new()
        .host("127.0.0.1")
        .port(place.port)
        .username(APP.name)
        .password(APP.password)
        .database(&place.database);
    match place.tls {
        Tls::Default => options,
        Tls::Off => options.ssl_mode(MySqlSslMode::Disabled),
        Tls::On => options.ssl_mode(MySqlSslMode::Required),
    }
}

/// Tells the story once.
pub(crate) async fn tell(place: Place) -> Story {
    let mut story = Story::default();
    let mut connection = options(&place).connect().await.expect("to connect");
    refusals(&mut story, &place).await;
    tables(&mut story, &mut connection).await;
    transactions(&mut story, &mut connection).await;
    several(&mut story, &mut connection).await;
    pools(&mut story, &place).await;
    story.show("ping", connection.ping().await.is_ok());
    connection.close().await.expect("to leave");
    story
}

async fn refusals(story: &mut Story, place: &Place) {
    story.chapter("refusals");
    for (name, options) in [
        ("wrong password", options(place).password("wrong")),
        ("unknown database", options(place).database("app_nosuch")),
        ("forbidden database", options(place).database("mysql")),
    ] {
        story.show(name, options.connect().await.map(|_| ()));
    }
}

async fn tables(story: &mut Story, connection: &mut MySqlConnection) {
    story.chapter("tables");
    let create = "CREATE TABLE things (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
        name VARCHAR(100) CHARACTER SET utf8mb4 UNIQUE, price DECIMAL(12,4), ratio DOUBLE, small TINYINT,
        truth BOOLEAN, big BIGINT UNSIGNED, at DATETIME(6), data LONGBLOB)";
    story.show("create", run(connection, sqlx::query(create)).await);
    let insert =
        "INSERT INTO things (name, ratio, small, truth, big, data) VALUES (?, ?, ?, ?, ?, ?)";
    let values = sqlx::query(insert)
        .bind("Grüße, 世界, 🐬 \\ ' \" \0")
        .bind(0.1f64)
        .bind(-128i8)
        .bind(true)
        .bind(u64::MAX)
        .bind(vec![0u8, 1, 255]);
    story.show("insert", run(connection, values).await);
    let nulls = sqlx::query(insert)
        .bind(None::<String>)
        .bind(None::<f64>)
        .bind(None::<i8>)
        .bind(None::<bool>)
        .bind(None::<u64>)
        .bind(None::<Vec<u8>>);
    story.show("nulls", run(connection, nulls).await);
    for size in [0, 250, 251, 65535, 65536, 1 << 20] {
        let insert = sqlx::query("INSERT INTO things (name, data) VALUES (?, ?)")
            .bind(format!("size {size}"))
            .bind(vec![b'x'; size]);
        story.show("sized", run(connection, insert).await);
    }
    story.show("prepared", rows(connection, sqlx::query("SELECT * FROM things ORDER BY id")).await);
    let again = sqlx::query("SELECT * FROM things WHERE id = ?").bind(1);
    story.show("one", rows(connection, again).await);
    let none = sqlx::query("SELECT * FROM things WHERE id = ?").bind(0);
    story.show("none", rows(connection, none).await);
    let last = sqlx::query("SELECT LAST_INSERT_ID()");
    story.show("last id", rows(connection, last).await);
    // More statements than the driver keeps: it closes the eldest.
    for n in 0..110i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT ? + {n}"));
        let sum: i64 =
            sqlx::query_scalar(sql).bind(1i64).fetch_one(&mut *connection).await.expect("a sum");
        assert_eq!(sum, n + 1);
    }
    for sql in ["SELEKT", "SELECT * FROM nosuch", "INSERT INTO things (name) VALUES ('size 0')"] {
        story.show(sql, run(connection, sqlx::query(sql)).await);
    }
}

async fn transactions(story: &mut Story, connection: &mut MySqlConnection) {
    story.chapter("transactions");
    let count = "SELECT COUNT(*) FROM things WHERE name LIKE 'trx%'";
    let insert = "INSERT INTO things (name) VALUES (?)";
    let mut outer = connection.begin().await.expect("a transaction");
    run(&mut outer, sqlx::query(insert).bind("trx 1")).await.expect("to insert");
    // A savepoint, to the server.
    let mut inner = outer.begin().await.expect("an inner transaction");
    run(&mut inner, sqlx::query(insert).bind("trx 2")).await.expect("to insert");
    story.show("inside", rows(&mut inner, sqlx::query(count)).await);
    inner.rollback().await.expect("to roll back");
    story.show("half", rows(&mut outer, sqlx::query(count)).await);
    outer.commit().await.expect("to commit");
    story.show("committed", rows(connection, sqlx::query(count)).await);
    let mut dropped = connection.begin().await.expect("a transaction");
    run(&mut dropped, sqlx::query(insert).bind("trx 3")).await.expect("to insert");
    // Rolled back with the next command.
    drop(dropped);
    story.show("dropped", rows(connection, sqlx::query(count)).await);
}

async fn several(story: &mut Story, connection: &mut MySqlConnection) {
    story.chapter("several");
    let several = "SELECT 1 AS a; UPDATE things SET small = 3 WHERE id = 1; SELECT 2 AS b";
    let mut results = connection.fetch_many(sqlx::raw_sql(several));
    loop {
        match results.try_next().await {
            Ok(Some(sqlx::Either::Left(done))) => story.show("done", done),
            Ok(Some(sqlx::Either::Right(row))) => story.show("row", tell_row(&row)),
            Ok(None) => break,
            Err(error) => story.show("error", error),
        }
    }
    drop(results);
    let create = "CREATE PROCEDURE p (IN a INT) BEGIN SELECT a; SELECT a + 1 AS b, 'x' AS c; END";
    story.show("procedure", connection.execute(sqlx::raw_sql(create)).await.is_ok());
    story.show("call", rows(connection, sqlx::query("CALL p(?)").bind(4)).await);
    // A query that is given up half-way: the driver reads the rest before the next.
    let numbers = "SELECT a.id FROM things a, things b, things c";
    let mut given_up = sqlx::query(numbers).fetch(&mut *connection);
    story.show("first", given_up.try_next().await.map(|row| row.is_some()));
    drop(given_up);
    story.show("next", rows(connection, sqlx::query("SELECT 'next'")).await);
}

async fn pools(story: &mut Story, place: &Place) {
    story.chapter("pools");
    let pool =
        MySqlPoolOptions::new().max_connections(5).connect_with(options(place)).await.expect("it");
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..40i64 {
        let pool = pool.clone();
        tasks.spawn(async move {
            sqlx::query_scalar::<_, i64>("SELECT ? * 2").bind(n).fetch_one(&pool).await
        });
    }
    let mut answers: Vec<i64> =
        tasks.join_all().await.into_iter().map(|answer| answer.expect("an answer")).collect();
    answers.sort_unstable();
    story.show("pooled", answers);
    pool.close().await;
}

type Query<'q> = sqlx::query::Query<'q, sqlx::MySql, sqlx::mysql::MySqlArguments>;

async fn run(connection: &mut MySqlConnection, query: Query<'_>) -> sqlx::Result<(u64, u64)> {
    let done = query.execute(connection).await?;
    Ok((done.rows_affected(), done.last_insert_id()))
}

async fn rows(connection: &mut MySqlConnection, query: Query<'_>) -> sqlx::Result<Vec<String>> {
    Ok(query.fetch_all(connection).await?.iter().map(tell_row).collect())
}

fn tell_row(row: &MySqlRow) -> String {
    let columns = row.columns().iter().map(|column| {
        let value = row.try_get_raw(column.ordinal()).expect("a value");
        let bytes = (!value.is_null()).then(|| {
            row.try_get_unchecked::<Vec<u8>, _>(column.ordinal())
                .map(|bytes| format!("{} bytes {:?}", bytes.len(), &bytes[..bytes.len().min(50)]))
        });
        format!("{} {} {bytes:?}", column.name(), column.type_info().name())
    });
    columns.collect::<Vec<_>>().join(", ")
}
