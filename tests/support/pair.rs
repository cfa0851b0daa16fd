//! A writer and its replica, semi-synchronous: what the writer acknowledges, the replica has.

use super::accounts::ADMIN;
use super::flavor::Flavor;
use super::island::Island;
use super::ports;
use super::server::{Server, Start};
use std::net::Ipv4Addr;

/// Two private servers; the second replicates the first and only reads.
pub(crate) struct Pair {
    /// The writer at first.
    pub(crate) writer: Server,
    /// Its replica at first.
    pub(crate) replica: Server,
}

impl Pair {
    /// Starts both, and replication between them.
    pub(crate) fn start(flavor: Flavor) -> Self {
        Self::start_at(flavor, (Ipv4Addr::LOCALHOST, ports::free()), None)
    }

    /// Starts both, the writer in a network of its own.
    pub(crate) fn start_on_island(flavor: Flavor) -> Self {
        let port = ports::free();
        let settings = settings(flavor);
        let island = Some(Island::new(port));
        let writer = Server::start_as(Start { port, island, ..Start::new(flavor, &settings) });
        let replica = Server::start_as(Start::new(flavor, &settings));
        let pair = Self { writer, replica };
        pair.replicate();
        pair
    }

    /// Starts both at the same port of different addresses, as a name finds them that moves.
    pub(crate) fn start_at_one_port(flavor: Flavor) -> Self {
        let port = ports::free();
        let second = Ipv4Addr::new(127, 0, 0, 2);
        Self::start_at(flavor, (Ipv4Addr::LOCALHOST, port), Some((second, port)))
    }

    fn start_at(flavor: Flavor, first: (Ipv4Addr, u16), second: Option<(Ipv4Addr, u16)>) -> Self {
        let mut settings = settings(flavor);
        let writer = Server::start_at(flavor, first.0, first.1, &settings);
        let second = second.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, ports::free()));
        // Ports, which are their numbers otherwise, may be the same.
        settings.push("server_id=2");
        let replica = Server::start_at(flavor, second.0, second.1, &settings);
        let pair = Self { writer, replica };
        pair.replicate();
        pair
    }

    /// What Millpond is told in the place of its one server.
    pub(crate) fn endpoints(&self) -> String {
        let Self { writer, replica } = self;
        format!("{}:{}@a,{}:{}@b", writer.host, writer.port, replica.host, replica.port)
    }

    fn replicate(&self) {
        let Server { flavor, host, port, .. } = self.writer;
        let (user, password) = (ADMIN.name, ADMIN.password);
        match flavor {
            Flavor::MariaDb => {
                self.replica.run(&[
                    "SET GLOBAL rpl_semi_sync_slave_enabled=ON",
                    &format!(
                        "CHANGE MASTER TO MASTER_HOST='{host}', MASTER_PORT={port}, \
                         MASTER_USER='{user}', MASTER_PASSWORD='{password}', \
                         MASTER_USE_GTID=slave_pos"
                    ),
                    "START SLAVE",
                    "SET GLOBAL read_only=ON",
                ]);
                self.writer.run(&["SET GLOBAL rpl_semi_sync_master_enabled=ON"]);
            }
            Flavor::MySql => {
                self.replica.run(&[
                    "SET GLOBAL rpl_semi_sync_replica_enabled=ON",
                    &format!(
                        "CHANGE REPLICATION SOURCE TO SOURCE_HOST='{host}', \
                         SOURCE_PORT={port}, SOURCE_USER='{user}', \
                         SOURCE_PASSWORD='{password}', SOURCE_AUTO_POSITION=1, \
                         GET_SOURCE_PUBLIC_KEY=1"
                    ),
                    "START REPLICA",
                    "SET GLOBAL super_read_only=ON",
                ]);
                self.writer.run(&["SET GLOBAL rpl_semi_sync_source_enabled=ON"]);
            }
        }
        // The monitor may see how far a replica is behind.
        let grant = match flavor {
            Flavor::MariaDb => "GRANT REPLICA MONITOR ON *.* TO 'app'@'%'",
            Flavor::MySql => "GRANT REPLICATION CLIENT ON *.* TO 'app'@'%'",
        };
        self.writer.run(&[grant, "CREATE TABLE app.settled (id INT PRIMARY KEY)"]);
        // Whoever has this has everything before it.
        self.wait_for("app.settled");
    }

    /// Waits until the replica has a table.
    pub(crate) fn wait_for(&self, table: &str) {
        let arrived = || {
            super::server::block_on(async {
                use mysql_async::prelude::Queryable;
                let mut admin = self.replica.admin().await;
                let found = admin.query_drop(format!("SELECT 1 FROM {table} LIMIT 0")).await;
                admin.disconnect().await.ok();
                found.is_ok()
            })
        };
        for _ in 0..600 {
            if arrived() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("the replica does not get {table}");
    }

    /// Makes the replica a writer, once it has applied everything that it got. Gives the moment in
    /// which the last step of it, which lets it write, was begun.
    pub(crate) async fn promote(&self) -> tokio::time::Instant {
        use mysql_async::prelude::Queryable;
        let mut admin = self.replica.admin().await;
        let (stop, steps): (_, &[&str]) = match self.replica.flavor {
            Flavor::MariaDb => {
                ("STOP SLAVE IO_THREAD", &["STOP SLAVE", "SET GLOBAL read_only=OFF"])
            }
            Flavor::MySql => (
                "STOP REPLICA IO_THREAD",
                &["STOP REPLICA", "SET GLOBAL super_read_only=OFF", "SET GLOBAL read_only=OFF"],
            ),
        };
        admin.query_drop(stop).await.expect("to stop receiving");
        let wait = match self.replica.flavor {
            Flavor::MariaDb => {
                let status: Option<mysql_async::Row> =
                    admin.query_first("SHOW SLAVE STATUS").await.expect("the replica's status");
                let received: String =
                    status.and_then(|row| row.get("Gtid_IO_Pos")).expect("what it received");
                format!("SELECT MASTER_GTID_WAIT('{received}', 30)")
            }
            Flavor::MySql => "SELECT WAIT_FOR_EXECUTED_GTID_SET(received_transaction_set, 30) \
                              FROM performance_schema.replication_connection_status"
                .to_owned(),
        };
        let late: Option<i64> = admin.query_first(wait).await.expect("to wait");
        assert_eq!(late, Some(0), "the replica applies what it received");
        let mut promoted = tokio::time::Instant::now();
        for statement in steps {
            promoted = tokio::time::Instant::now();
            admin.query_drop(*statement).await.expect("a promotion");
        }
        admin.disconnect().await.ok();
        promoted
    }

    /// Makes a server a reader, as a planned switchover does first.
    pub(crate) async fn demote(&self) {
        use mysql_async::prelude::Queryable;
        let mut admin = self.writer.admin().await;
        let demotion = match self.writer.flavor {
            Flavor::MariaDb => "SET GLOBAL read_only=ON",
            Flavor::MySql => "SET GLOBAL super_read_only=ON",
        };
        admin.query_drop(demotion).await.expect("a demotion");
        admin.disconnect().await.ok();
    }
}

/// What both servers are told.
fn settings(flavor: Flavor) -> Vec<&'static str> {
    let mut settings = vec!["log_bin=bin", "max_connections=400"];
    if flavor == Flavor::MySql {
        settings.extend([
            "gtid_mode=ON",
            "enforce_gtid_consistency=ON",
            "plugin_load_add=semisync_source.so",
            "plugin_load_add=semisync_replica.so",
        ]);
    }
    settings
}
