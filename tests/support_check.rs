mod support;
use mysql_async::prelude::Queryable;
use support::*;
#[test]
fn starts() {
    let t = tokio::time::Instant::now();
    servers::both_async(|server| async move {
        let mut c = server.admin().await;
        let v: Option<String> = c.query_first("select version()").await.unwrap();
        eprintln!("{:?} {v:?} {}", t.elapsed(), server.status("Max_used_connections").await);
        for a in accounts::ordinary(server.flavor) {
            if a.name == "edward" {
                continue;
            }
            match server.connect(&a, Some("app")).await {
                Ok(_) => eprintln!("ok {a:?}"),
                Err(e) => eprintln!("{a:?} {e}"),
            }
        }
    });
}
