//! Many clients on few backend connections.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::servers;
use mysql_async::prelude::Queryable;
use std::sync::Arc;
use tokio::sync::Semaphore;

const CLIENTS: u64 = 2000;
const POOL: usize = 20;

#[test]
fn two_thousand_clients_run_transactions_on_a_pool_of_twenty() {
    servers::both_private(&["max_connections=200"], async |server| {
        let mut admin = server.admin().await;
        admin
            .query_drop("CREATE TABLE app.throng (id INT PRIMARY KEY, n INT NOT NULL)")
            .await
            .unwrap();
        admin.query_drop("FLUSH STATUS").await.unwrap();
        let settings = Settings {
            pool: format!("max_size = {POOL}\nborrow_timeout = \"60s\"\n"),
            ..Settings::default()
        };
        let millpond = Arc::new(Millpond::start(server, &settings));
        // All are connected at the same time; so many at once may begin, since the test's own
        // machine has to log them in.
        let logins = Arc::new(Semaphore::new(200));
        let everybody = Arc::new(tokio::sync::Barrier::new(CLIENTS as usize));
        let mut clients = Vec::new();
        for id in 0..CLIENTS {
            let (millpond, logins, everybody) =
                (millpond.clone(), logins.clone(), everybody.clone());
            clients.push(tokio::spawn(async move {
                let permit = logins.acquire().await.unwrap();
                let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
                drop(permit);
                everybody.wait().await;
                client.query_drop("BEGIN").await.unwrap();
                client.query_drop(format!("INSERT INTO throng VALUES ({id}, 0)")).await.unwrap();
                for _ in 0..3 {
                    let sql = format!("UPDATE throng SET n = n + {id} WHERE id = {id}");
                    client.query_drop(sql).await.unwrap();
                }
                client.query_drop("COMMIT").await.unwrap();
                let sql = format!("SELECT n FROM throng WHERE id = {id}");
                let sum: Option<u64> = client.query_first(sql).await.unwrap();
                assert_eq!(sum, Some(3 * id));
                client.disconnect().await.unwrap();
            }));
        }
        for client in clients {
            client.await.unwrap();
        }
        let sum: Option<(u64, u64)> =
            admin.query_first("SELECT COUNT(*), SUM(n) FROM app.throng").await.unwrap();
        assert_eq!(sum, Some((CLIENTS, 3 * CLIENTS * (CLIENTS - 1) / 2)));
        // The administrator's own connection, and one for a probe.
        let most = server.status("Max_used_connections").await;
        assert!(most <= POOL as u64 + 2, "{most} connections at one time");
    });
}
