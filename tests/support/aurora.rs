//! What stands in for an instance of Amazon Aurora: a real server, and in front of it a port that has
//! the questions which only Aurora answers answered by that server in its place.
//!
//! What Aurora keeps in `information_schema.replica_host_status` is a table of the test's, which it
//! fills as it likes.

use std::net::Ipv4Addr;
use std::sync::Arc;

use mysql_async::prelude::Queryable;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::pair::Pair;
use super::server::Server;

/// The table that stands in for Aurora's own.
pub(crate) const STATUS: &str = "app_aurora.replica_host_status";

/// What an instance says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// As its server.
    AsItsServer,
    /// That it only reads, whatever its server does.
    Reader,
}

struct Instance {
    id: &'static str,
    nature: Nature,
    server: u16,
}

/// Makes the table, on both servers of a pair.
pub(crate) async fn prepare(pair: &Pair) {
    let mut admin = pair.writer.admin().await;
    let table = format!(
        "CREATE TABLE {STATUS} (SERVER_ID VARCHAR(100), SESSION_ID VARCHAR(100), \
         REPLICA_LAG_IN_MILLISECONDS DOUBLE, LAST_UPDATE_TIMESTAMP DATETIME(6))"
    );
    for statement in ["CREATE DATABASE app_aurora", &table] {
        admin.query_drop(statement).await.expect("the table");
    }
}

/// A row of the table: the writer's has this session. Times are in seconds from now.
pub(crate) async fn report(server: &Server, id: &str, session: &str, seconds: i32) {
    let mut admin = server.admin().await;
    let row = format!(
        "INSERT INTO {STATUS} VALUES ('{id}', '{session}', 18.5, NOW(6) + INTERVAL {seconds} SECOND)"
    );
    admin.query_drop(row).await.expect("a row");
}

/// Opens the port of an instance; it works until its runtime ends.
#[allow(clippy::disallowed_methods, reason = "it ends with its test")]
pub(crate) async fn instance(
    at: (Ipv4Addr, u16),
    id: &'static str,
    server: &Server,
    nature: Nature,
) {
    let listener = TcpListener::bind(at).await.expect("the port");
    let instance = Arc::new(Instance { id, nature, server: server.port });
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, instance.clone()));
        }
    });
}

async fn serve(client: TcpStream, instance: Arc<Instance>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, instance.server)).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut to_client: OwnedWriteHalf = to_client;
    tokio::select! {
        _ = translate(from_client, &mut to_server, &instance) => {}
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}

/// Passes packets on, queries of Aurora's own in other words.
async fn translate(
    mut from: OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    instance: &Instance,
) -> std::io::Result<()> {
    loop {
        let mut header = [0; 4];
        from.read_exact(&mut header).await?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        let mut payload = vec![0; length as usize];
        from.read_exact(&mut payload).await?;
        // A query begins an exchange; packets of a login do not.
        if header[3] == 0
            && let Some((3, text)) = payload.split_first()
            && let Some(other) = std::str::from_utf8(text).ok().and_then(|t| instance.rewritten(t))
        {
            payload = [&[3], other.as_bytes()].concat();
            let length = u32::try_from(payload.len()).expect("a short query").to_le_bytes();
            header[..3].copy_from_slice(&length[..3]);
        }
        to.write_all(&[&header[..], &payload].concat()).await?;
    }
}

impl Instance {
    /// A question that only Aurora answers, in words that its server understands.
    fn rewritten(&self, text: &str) -> Option<String> {
        let reads = match self.nature {
            Nature::AsItsServer => "@@GLOBAL.read_only",
            Nature::Reader => "1",
        };
        if text.contains("@@aurora_server_id") {
            let own = text.replace("@@aurora_server_id", &format!("'{}'", self.id));
            return Some(own.replace("@@innodb_read_only", reads));
        }
        if text.contains("information_schema.replica_host_status") {
            return Some(text.replace("information_schema.replica_host_status", STATUS));
        }
        text.contains("'aurora_version'")
            .then(|| "SELECT 'aurora_version' AS Variable_name, '3.08.0' AS Value".to_owned())
    }
}
