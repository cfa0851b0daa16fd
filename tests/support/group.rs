//! Three MySQL servers in a group with one primary.

use super::accounts::ADMIN;
use super::flavor::Flavor;
use super::ports;
use super::server::{Server, block_on};
use mysql_async::prelude::Queryable;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::time::Instant;

/// A group; the first server is its primary at first.
pub(crate) struct Group {
    /// Its members.
    pub(crate) servers: Vec<Server>,
}

impl Group {
    /// Starts three servers and has them form a group.
    pub(crate) fn start() -> Self {
        let seats: Vec<String> = (0..3).map(|_| format!("127.0.0.1:{}", ports::free())).collect();
        let start = |seat: &String| {
            let port = ports::free();
            let settings = [
                "log_bin=bin",
                "gtid_mode=ON",
                "enforce_gtid_consistency=ON",
                "report_host=127.0.0.1",
                "plugin_load_add=group_replication.so",
                "loose_group_replication_group_name=4d1c4b5e-0000-4000-8000-6d696c6c706f",
                "loose_group_replication_start_on_boot=OFF",
                // As quick as it can be to give up a dead member.
                "loose_group_replication_member_expel_timeout=0",
                "loose_group_replication_recovery_get_public_key=ON",
                "loose_group_replication_message_cache_size=134217728",
                &format!("loose_group_replication_local_address={seat}"),
                &format!("loose_group_replication_group_seeds={}", seats.join(",")),
            ];
            Server::start_at(Flavor::MySql, Ipv4Addr::LOCALHOST, port, &settings)
        };
        let group = Self { servers: seats.iter().map(start).collect() };
        for (number, server) in group.servers.iter().enumerate() {
            let recovery = format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_USER='{}', SOURCE_PASSWORD='{}' \
                 FOR CHANNEL 'group_replication_recovery'",
                ADMIN.name, ADMIN.password
            );
            let bootstrap = ["OFF", "ON"][usize::from(number == 0)];
            server.run(&[
                "GRANT SELECT ON performance_schema.* TO 'app'@'%'",
                // All have the same accounts, each of its own making.
                "RESET BINARY LOGS AND GTIDS",
                &recovery,
                &format!("SET GLOBAL group_replication_bootstrap_group={bootstrap}"),
                "START GROUP_REPLICATION",
                "SET GLOBAL group_replication_bootstrap_group=OFF",
            ]);
        }
        group.wait_online(3);
        group
    }

    /// Waits until so many members are online, as the first server sees them.
    fn wait_online(&self, count: u64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let online: Option<u64> = block_on(async {
                let mut admin = self.servers[0].admin().await;
                let online = "SELECT COUNT(*) FROM performance_schema.replication_group_members \
                              WHERE MEMBER_STATE = 'ONLINE'";
                admin.query_first(online).await.expect("the members")
            });
            if online == Some(count) {
                return;
            }
            assert!(Instant::now() < deadline, "the group does not form: {online:?} online");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The primary, as `asked` sees it: its port, once it takes writes.
    pub(crate) async fn primary(asked: &Server) -> Option<u16> {
        let mut admin = asked.admin().await;
        let primary = "SELECT MEMBER_PORT FROM performance_schema.replication_group_members \
                       WHERE MEMBER_ROLE = 'PRIMARY' AND MEMBER_STATE = 'ONLINE'";
        admin.query_first(primary).await.expect("the members")
    }
}
