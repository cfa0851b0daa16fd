//! An ordinary application with `sqlx`, whose every query is a prepared statement that it keeps.

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};

use super::Place;
use crate::support::accounts::APP;

/// Works through a pool of connections.
pub(super) async fn work(place: Place) {
    let options = MySqlConnectOptions::new()
        .host("127.0.0.1")
        .port(place.port)
        .username(APP.name)
        .password(APP.password)
        .database(&place.database);
    let pool = MySqlPoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
    let create =
        "CREATE TABLE bills (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) UNIQUE, n INT)";
    sqlx::query(create).execute(&pool).await.unwrap();
    for round in 0..15 {
        let workers = (0..4).map(|worker| {
            let (pool, number) = (pool.clone(), round * 4 + worker);
            async move {
                let name = format!("räkning {number}");
                let insert = "INSERT INTO bills (name, n) VALUES (?, ?)";
                let made = sqlx::query(insert).bind(&name).bind(number).execute(&pool).await;
                let id = made.unwrap().last_insert_id();
                let read = "SELECT id, n FROM bills WHERE name = ?";
                let row: (i64, i32) =
                    sqlx::query_as(read).bind(&name).fetch_one(&pool).await.unwrap();
                assert_eq!(row, (id.try_into().unwrap(), number));
                let again = sqlx::query(insert).bind(&name).bind(0).execute(&pool).await;
                assert!(again.unwrap_err().into_database_error().unwrap().is_unique_violation());
            }
        });
        futures_util::future::join_all(workers).await;
        let mut transaction = pool.begin().await.unwrap();
        let count: (i64,) = sqlx::query_as("SELECT COUNT(*) FROM bills WHERE n >= ? FOR UPDATE")
            .bind(0)
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        assert_eq!(count.0, i64::from(round) * 4 + 4);
        sqlx::query("UPDATE bills SET n = n + ?").bind(0).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }
    sqlx::query("DROP TABLE bills").execute(&pool).await.unwrap();
    pool.close().await;
}
