//! Three MariaDB servers in a Galera cluster.

use super::flavor::Flavor;
use super::ports;
use super::server::{Server, Start, block_on};
use mysql_async::prelude::Queryable;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

const LIBRARY: &str = "/usr/lib/galera/libgalera_smm.so";

/// How a node that joins gets its data: it has them already, so only the name of their state is
/// told. The servers' own scripts take packages that nothing else here needs.
const TRANSFER: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in --role) role=$2 ;; --address) address=$2 ;; --gtid) gtid=$2 ;; esac
  shift
done
case $role in
  joiner) rm -f "$PWD/state"; mkfifo "$PWD/state"; echo "ready $PWD/state"; read -r gtid <"$PWD/state"; echo "$gtid" ;;
  donor) echo "$gtid" >"$address"; echo "done $gtid" ;;
esac
"#;

/// A cluster; all nodes take writes.
pub(crate) struct Cluster {
    /// Its nodes.
    pub(crate) nodes: Vec<Server>,
    _scripts: TempDir,
}

/// Why there can be none here, if so.
pub(crate) fn missing() -> Option<&'static str> {
    (!Path::new(LIBRARY).is_file())
        .then_some("galera-4 is not installed; tests/testbed/install servers does that")
}

impl Cluster {
    /// Starts three nodes, and waits until all are synchronised.
    pub(crate) fn start() -> Self {
        let scripts = tempfile::tempdir().expect("a folder");
        let script = scripts.path().join("wsrep_sst_same");
        fs::write(&script, TRANSFER).expect("a script");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("to make it one");
        let seat = ports::free();
        let node = |number: u32, data: Option<&Path>| {
            let port = ports::free();
            let settings = settings(number, seat, port);
            let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
            let path = Some(scripts.path());
            Server::start_as(Start { data, path, port, ..Start::new(Flavor::MariaDb, &settings) })
        };
        let first = node(0, None);
        wait_synced(&first, 1);
        // The others begin with the same data.
        first.stop();
        let others: Vec<_> = {
            let copies = tempfile::tempdir().expect("a folder");
            let copy = copies.path().join("data");
            super::server::copy(&first.data(), &copy);
            first.start_again();
            wait_synced(&first, 1);
            (1..3)
                .map(|number| {
                    let other = node(number, Some(&copy));
                    wait_synced(&other, u64::from(number) + 1);
                    other
                })
                .collect()
        };
        let nodes = std::iter::once(first).chain(others).collect();
        Self { nodes, _scripts: scripts }
    }

    /// The node at this port.
    pub(crate) fn at(&self, port: u16) -> &Server {
        self.nodes.iter().find(|node| node.port == port).expect("a node")
    }
}

/// Lines of the configuration. The first node listens for the others at `seat`.
fn settings(number: u32, seat: u16, port: u16) -> Vec<String> {
    let (address, own) = match number {
        0 => ("gcomm://".to_owned(), seat),
        _ => (format!("gcomm://127.0.0.1:{seat}"), ports::free()),
    };
    // A dead node is given up sooner than by default, and not too soon for a busy machine.
    let options = format!(
        "gmcast.listen_addr=tcp://127.0.0.1:{own};ist.recv_addr=127.0.0.1:{};gcache.size=16M;\
         evs.keepalive_period=PT0.5S;evs.suspect_timeout=PT3S;evs.inactive_timeout=PT6S;\
         evs.install_timeout=PT6S",
        ports::free()
    );
    [
        "wsrep_on=ON".to_owned(),
        format!("wsrep_provider={LIBRARY}"),
        format!("wsrep_provider_options=\"{options}\""),
        format!("wsrep_cluster_address={address}"),
        "wsrep_node_address=127.0.0.1".to_owned(),
        format!("wsrep_node_incoming_address=127.0.0.1:{port}"),
        "wsrep_sst_method=same".to_owned(),
        "binlog_format=ROW".to_owned(),
        "innodb_autoinc_lock_mode=2".to_owned(),
        "max_connections=400".to_owned(),
    ]
    .into()
}

/// Waits until a node is synchronised with a cluster of this size.
fn wait_synced(node: &Server, size: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_synced = || {
        block_on(async {
            let mut admin = node.admin().await;
            let status = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS \
                          WHERE VARIABLE_NAME IN ('WSREP_LOCAL_STATE', 'WSREP_CLUSTER_SIZE') \
                          ORDER BY VARIABLE_NAME";
            // A node that is not ready answers nothing.
            let values: Vec<String> = admin.query(status).await.unwrap_or_default();
            values == [size.to_string(), "4".to_owned()]
        })
    };
    while !is_synced() {
        assert!(Instant::now() < deadline, "a node does not join: {:?}", node.crash());
        std::thread::sleep(Duration::from_millis(100));
    }
}
