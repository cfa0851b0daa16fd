//! The story through `mysql_async`.

use mysql_async::prelude::*;
use mysql_async::{
    BinaryProtocol, ChangeUserOpts, Conn, IsolationLevel, OptsBuilder, Params, QueryResult, Row,
    SslOpts, TextProtocol, TxOpts, Value, WhiteListFsHandler, params,
};

use crate::support::accounts::APP;
use crate::twin::{Place, Story, Tls};

fn options(place: &Place) -> OptsBuilder {
    // Among the dependencies of the tests are two providers, and this driver asks for the default.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ssl = (place.tls == Tls::On).then(|| {
        SslOpts::default()
            .with_danger_accept_invalid_certs(true)
            .with_danger_skip_domain_validation(true)
    });
    OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(place.port)
        .user(Some(APP.name))
        .pass(Some(APP.password))
        .db_name(Some(&place.database))
        .prefer_socket(false)
        .ssl_opts(ssl)
}

/// Tells the story once.
pub(crate) async fn tell(place: Place) -> Story {
    let mut story = Story::default();
    let mut connection = Conn::new(options(&place)).await.expect("to connect");
    greeting(&mut story, &mut connection).await;
    refusals(&mut story, &place).await;
    tables(&mut story, &mut connection).await;
    statements(&mut story, &mut connection).await;
    transactions(&mut story, &mut connection).await;
    several(&mut story, &mut connection).await;
    load(&mut story, &place).await;
    resets(&mut story, &mut connection).await;
    connection.disconnect().await.expect("to leave");
    story
}

async fn greeting(story: &mut Story, connection: &mut Conn) {
    story.chapter("greeting");
    story.show("version", connection.server_version());
    story.show("session variables", query(connection, "SELECT DATABASE(), @@sql_mode").await);
    let id: Option<u32> = connection.query_first("SELECT CONNECTION_ID()").await.expect("an id");
    story.show("own id is the driver's", id == Some(connection.id()));
    story.show("ping", connection.ping().await);
}

async fn refusals(story: &mut Story, place: &Place) {
    story.chapter("refusals");
    for (name, options) in [
        ("wrong password", options(place).pass(Some("wrong"))),
        ("empty password", options(place).pass(Option::<String>::None)),
        ("unknown database", options(place).db_name(Some("app_nosuch"))),
        ("forbidden database", options(place).db_name(Some("mysql"))),
    ] {
        story.show(name, Conn::new(options).await.map(|_| ()));
    }
}

async fn tables(story: &mut Story, connection: &mut Conn) {
    story.chapter("tables");
    let create = "CREATE TABLE things (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
        name VARCHAR(100) CHARACTER SET utf8mb4 UNIQUE, price DECIMAL(12,4), ratio DOUBLE, f FLOAT,
        small TINYINT, big BIGINT UNSIGNED, at DATETIME(6), span TIME(3), y YEAR, data LONGBLOB)";
    story.show("create", query(connection, create).await);
    let insert = "INSERT INTO things (name, price, ratio, f, small, big, at, span, y, data)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values: Vec<Value> = vec![
        "Grüße, 世界, 🐬 \\ ' \" \0".into(),
        "1234.5678".into(),
        0.1f64.into(),
        1.5f32.into(),
        (-128).into(),
        u64::MAX.into(),
        Value::Date(1999, 12, 31, 23, 59, 59, 999_999),
        Value::Time(true, 1, 6, 1, 0, 5000),
        2024.into(),
        vec![0u8, 1, 255].into(),
    ];
    story.show("insert", execute(connection, insert, Params::Positional(values)).await);
    let nulls = Params::Positional(vec![Value::NULL; 10]);
    story.show("nulls", execute(connection, insert, nulls).await);
    for size in [0, 250, 251, 65535, 65536, 1 << 20] {
        let data = vec![b'x'; size];
        let sql = "INSERT INTO things (name, data) VALUES (?, ?)";
        story.show("sized", execute(connection, sql, (format!("size {size}"), data)).await);
    }
    let select = "SELECT * FROM things ORDER BY id";
    story.show("by text", query(connection, select).await);
    story.show("prepared", execute(connection, select, ()).await);
    story.show("none", execute(connection, "SELECT * FROM things WHERE id = ?", (0,)).await);
    let duplicate = "INSERT INTO things (name) VALUES ('size 0')";
    story.show("duplicate", query(connection, duplicate).await);
    story.show("syntax", query(connection, "SELEKT").await);
    story.show("bad prepared", execute(connection, "SELEKT ?", (1,)).await);
    story.show("no table", execute(connection, "SELECT * FROM nosuch WHERE a = ?", (1,)).await);
}

async fn statements(story: &mut Story, connection: &mut Conn) {
    story.chapter("statements");
    let one = connection.prep("SELECT ? AS a, ? AS b").await.expect("a statement");
    let two = connection.prep("SELECT :n + 1 AS n").await.expect("a statement");
    story.show("parameters", (one.num_params(), one.num_columns(), two.num_params()));
    for n in 0..4 {
        let row: Option<Row> = connection.exec_first(&one, (n, "text")).await.expect("a row");
        story.show("one", row);
        let row: Option<i64> = connection.exec_first(&two, params! { "n" => n }).await.expect("n");
        story.show("two", row);
    }
    connection.close(one).await.expect("to close");
    let row: Option<i64> = connection.exec_first(&two, params! { "n" => 41 }).await.expect("n");
    story.show("two after one is closed", row);
    // More than the driver keeps: it closes the eldest.
    for n in 0..50 {
        let sql = format!("SELECT ? + {n}");
        let row: Option<i64> = connection.exec_first(sql, (1,)).await.expect("a sum");
        assert_eq!(row, Some(n + 1));
    }
    let batch = (0..20).map(|n| (format!("batch {n}"),));
    let done = connection.exec_batch("INSERT INTO things (name) VALUES (?)", batch).await;
    story.show("batch", done);
    story.show("batch's last id", connection.last_insert_id());
}

async fn transactions(story: &mut Story, connection: &mut Conn) {
    story.chapter("transactions");
    let count = "SELECT COUNT(*) FROM things WHERE name LIKE 'trx%'";
    let options = TxOpts::default();
    let mut transaction = connection.start_transaction(options).await.expect("a transaction");
    let insert = "INSERT INTO things (name) VALUES ('trx 1')";
    transaction.query_drop(insert).await.expect("to insert");
    story.show("inside", transaction.query_first::<u64, _>(count).await);
    transaction.rollback().await.expect("to roll back");
    story.show("rolled back", query(connection, count).await);
    let mut options = TxOpts::default();
    options.with_consistent_snapshot(true);
    let mut transaction = connection.start_transaction(options).await.expect("a transaction");
    transaction.query_drop(insert).await.expect("to insert");
    transaction.commit().await.expect("to commit");
    story.show("committed", query(connection, count).await);
    let mut options = TxOpts::default();
    options.with_readonly(true).with_isolation_level(IsolationLevel::ReadCommitted);
    let mut transaction = connection.start_transaction(options).await.expect("a transaction");
    story.show("read only", transaction.query_drop("DELETE FROM things").await);
    drop(transaction);
    // The driver rolls a dropped transaction back before the next command.
    story.show("after it", query(connection, count).await);
}

async fn several(story: &mut Story, connection: &mut Conn) {
    story.chapter("several");
    let sql = "SELECT 1 AS a; UPDATE things SET small = 3 WHERE id = 1; SELECT 2 AS b";
    story.show("several", query(connection, sql).await);
    story.show("stops", query(connection, "SELECT 1; SELEKT; SELECT 2").await);
    story.show("after", query(connection, "SELECT 3").await);
    let sql = "CREATE PROCEDURE p (IN a INT) BEGIN SELECT a; SELECT a + 1 AS b, 'x' AS c; END";
    story.show("procedure", query(connection, sql).await);
    story.show("call by text", query(connection, "CALL p(3)").await);
    story.show("call prepared", execute(connection, "CALL p(?)", (4,)).await);
    story.show("warning", query(connection, "SELECT CAST('12x' AS SIGNED)").await);
    story.show("warnings", query(connection, "SHOW WARNINGS").await);
}

async fn load(story: &mut Story, place: &Place) {
    story.chapter("load");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("lines");
    let lines: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    std::fs::write(&file, lines).expect("to write");
    let handler = WhiteListFsHandler::new([&file]);
    let options = options(place).local_infile_handler(Some(handler));
    let mut connection = Conn::new(options).await.expect("to connect");
    story.show("create", query(&mut connection, "CREATE TABLE loaded (n INT)").await);
    let sql = format!("LOAD DATA LOCAL INFILE '{}' INTO TABLE loaded", file.display());
    story.show("load", query(&mut connection, &sql).await);
    story.show("loaded", query(&mut connection, "SELECT COUNT(*), SUM(n) FROM loaded").await);
    connection.disconnect().await.expect("to leave");
}

async fn resets(story: &mut Story, connection: &mut Conn) {
    story.chapter("resets");
    let set = "SET @a = 5, time_zone = '+01:00'";
    let get = "SELECT @a, @@time_zone, DATABASE()";
    story.show("set", query(connection, set).await);
    story.show("reset", connection.reset().await);
    story.show("gone", query(connection, get).await);
    story.show("set", query(connection, set).await);
    let same = ChangeUserOpts::default();
    story.show("change user", connection.change_user(same).await);
    story.show("gone", query(connection, get).await);
}

/// Everything that a text query brings: for each result the columns, the rows and the counts.
async fn query(connection: &mut Conn, sql: &str) -> mysql_async::Result<Vec<String>> {
    let mut results = connection.query_iter(sql).await?;
    let mut told = Vec::new();
    while !results.is_empty() || told.is_empty() {
        if results.columns_ref().is_empty() {
            told.push(counts_of_text(&results));
        }
        let columns = columns(results.columns_ref());
        let rows: Vec<Row> = results.collect().await?;
        told.push(format!("{columns:?} {}", tell_rows(&rows)));
    }
    Ok(told)
}

/// The same, prepared.
async fn execute(
    connection: &mut Conn,
    sql: &str,
    values: impl Into<Params> + Send,
) -> mysql_async::Result<Vec<String>> {
    let mut results = connection.exec_iter(sql, values).await?;
    let mut told = Vec::new();
    while !results.is_empty() || told.is_empty() {
        if results.columns_ref().is_empty() {
            told.push(counts_of_binary(&results));
        }
        let columns = columns(results.columns_ref());
        let rows: Vec<Row> = results.collect().await?;
        told.push(format!("{columns:?} {}", tell_rows(&rows)));
    }
    Ok(told)
}

fn counts_of_text(results: &QueryResult<'_, '_, TextProtocol>) -> String {
    let (affected, id) = (results.affected_rows(), results.last_insert_id());
    format!("{affected} rows, id {id:?}, {} warnings, {}", results.warnings(), results.info())
}

fn counts_of_binary(results: &QueryResult<'_, '_, BinaryProtocol>) -> String {
    let (affected, id) = (results.affected_rows(), results.last_insert_id());
    format!("{affected} rows, id {id:?}, {} warnings, {}", results.warnings(), results.info())
}

fn columns(columns: &[mysql_async::Column]) -> Vec<String> {
    let tell = |column: &mysql_async::Column| {
        format!(
            "{} of {} {:?} {:?} {} {} {}",
            column.name_str(),
            column.table_str(),
            column.column_type(),
            column.flags(),
            column.character_set(),
            column.column_length(),
            column.decimals()
        )
    };
    columns.iter().map(tell).collect()
}

fn tell_rows(rows: &[Row]) -> String {
    let value = |value: &Value| match value {
        Value::Bytes(bytes) if bytes.len() > 200 => format!("{} bytes", bytes.len()),
        other => format!("{other:?}"),
    };
    let row = |row: &Row| (0..row.len()).map(|n| row.as_ref(n).map(value)).collect::<Vec<_>>();
    format!("{:?}", rows.iter().map(row).collect::<Vec<_>>())
}
