//! The two kinds of server: where their programs are, and how each is set up and configured.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::certificates::Certificates;
use super::testbed;

/// A kind of server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub(crate) enum Flavor {
    /// The system's MariaDB.
    MariaDb,
    /// The MySQL that the testbed fetched.
    MySql,
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MariaDb => "MariaDB",
            Self::MySql => "MySQL",
        })
    }
}

/// Settings that both servers share: small, quick to start, and careless about power cuts.
const COMMON: &str = "\
bind_address=127.0.0.1
character_set_server=utf8mb4
max_allowed_packet=128M
local_infile=ON
secure_file_priv=
innodb_buffer_pool_size=64M
innodb_flush_log_at_trx_commit=0
innodb_doublewrite=OFF
innodb_use_native_aio=OFF
";

impl Flavor {
    /// The server program, or why there is none.
    pub(crate) fn program(self) -> Result<PathBuf, &'static str> {
        match self {
            Self::MariaDb => testbed::program("mariadbd")
                .ok_or("mariadbd is not installed; tests/testbed/install servers does that"),
            Self::MySql => Some(testbed::folder().join("mysql/bin/mysqld"))
                .filter(|program| program.is_file())
                .ok_or("MySQL was not fetched; tests/testbed/install servers does that"),
        }
    }

    /// A short name for files.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::MariaDb => "mariadb",
            Self::MySql => "mysql",
        }
    }

    /// The part of the configuration that does not depend on the instance.
    pub(super) fn settings(self) -> String {
        let mut text = format!("[mysqld]\n{COMMON}");
        if is_root() {
            text += "user=root\n";
        }
        match self {
            Self::MariaDb => {
                text += "innodb_log_file_size=16M\n";
                if let Some(folder) = ed25519_folder() {
                    text +=
                        &format!("plugin_dir={}\nplugin_load_add=auth_ed25519\n", folder.display());
                }
            }
            Self::MySql => {
                let base = testbed::folder().join("mysql/root/usr");
                let base = base.display();
                text += &format!(
                    "basedir={base}\nlc_messages_dir={base}/share/mysql\n\
                     character_sets_dir={base}/share/mysql/charsets\n\
                     plugin_dir={base}/lib/mysql/plugin\n\
                     mysqlx=OFF\nperformance_schema=ON\ninnodb_redo_log_capacity=32M\n"
                );
            }
        }
        text
    }

    /// Fills a new data folder. Takes seconds: see [`super::server`] for how that is shared.
    pub(super) fn initialise(self, folder: &Path, data: &Path) {
        let config = folder.join("initialise.cnf");
        fs::write(&config, format!("{}datadir={}\n", self.settings(), data.display()))
            .expect("to write the configuration");
        let defaults = format!("--defaults-file={}", config.display());
        let mut command = match self {
            Self::MariaDb => {
                let installer = testbed::program("mariadb-install-db").expect("mariadb-install-db");
                let mut command = Command::new(installer);
                command.args([&defaults, "--auth-root-authentication-method=normal"]);
                command.arg("--skip-test-db");
                command
            }
            Self::MySql => {
                let mut command = Command::new(self.program().expect("mysqld"));
                command.args([&defaults, "--initialize-insecure"]);
                command
            }
        };
        let output = command.current_dir(folder).output().expect("the server to start");
        assert!(
            output.status.success(),
            "{self} cannot be initialised:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// TLS: MySQL has made its own certificates in its data folder, MariaDB is given some.
    pub(super) fn certificates(self, folder: &Path, data: &Path) -> Certificates {
        match self {
            Self::MariaDb => Certificates::generate(folder),
            Self::MySql => Certificates {
                authority: data.join("ca.pem"),
                certificate: data.join("server-cert.pem"),
                key: data.join("server-key.pem"),
            },
        }
    }
}

/// MariaDB's plugin folder, if its ed25519 plugin is installed or was fetched.
fn ed25519_folder() -> Option<PathBuf> {
    [PathBuf::from("/usr/lib/mysql/plugin"), testbed::folder().join("mariadb/plugin")]
        .into_iter()
        .find(|folder| folder.join("auth_ed25519.so").is_file())
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
    })
}
