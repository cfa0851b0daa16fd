//! Ports that the service manager has bound for Millpond (systemd's socket activation): they are
//! open before it runs and while it starts anew, so that clients wait instead of being refused.
//!
//! <https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html>

use crate::config::Config;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Sockets that are bound already.
#[derive(Debug, Default)]
pub struct Sockets {
    passed: Vec<Passed>,
    /// By the key of the configuration that they take the place of.
    assigned: BTreeMap<String, TcpListener>,
}

#[derive(Debug)]
struct Passed {
    name: String,
    listener: TcpListener,
}

/// Why a socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It is no TCP listener.
    #[error("socket {number} of the service manager is not one that listens on TCP: {source}")]
    Kind {
        /// Which of them, from 0.
        number: usize,
        /// What the system says.
        source: io::Error,
    },
    /// It belongs to nothing.
    #[error(
        "socket \"{name}\" of the service manager, on {address}, is for nothing that is \
         configured: expected its FileDescriptorName to be one of {names}, or its address that of \
         one of these"
    )]
    ForNothing {
        /// Its name.
        name: String,
        /// Where it listens.
        address: SocketAddr,
        /// The names that there could be.
        names: String,
    },
    /// There is another one for the same.
    #[error("two sockets of the service manager are for {key}: expected one")]
    Twice {
        /// The key.
        key: String,
    },
}

impl Sockets {
    /// Those that the service manager has passed to this process; none without one. To be called
    /// before there is another thread: it takes its variables out of the environment.
    ///
    /// # Errors
    ///
    /// See [`Unfit`].
    pub fn of_manager() -> Result<Self, Unfit> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut sockets = listenfd::ListenFd::from_env();
        let mut passed = Vec::new();
        for number in 0..sockets.len() {
            let name = names.next().unwrap_or_default().to_owned();
            let listener = sockets.take_tcp_listener(number);
            if let Some(listener) = listener.map_err(|source| Unfit::Kind { number, source })? {
                passed.push(Passed { name, listener });
            }
        }
        Ok(Self { passed, assigned: BTreeMap::new() })
    }

    /// Finds out what each is for: by its name (a service's, with `.reader` for its readers, or
    /// `admin`), or else by its address.
    pub(super) fn assign(&mut self, config: &Config) -> Result<(), Unfit> {
        let mut places = Vec::new();
        for service in &config.services {
            let name = &service.name;
            places.push((format!("services.{name}.listen"), name.clone(), service.listen));
            if let Some(address) = service.reader_listen {
                let key = format!("services.{name}.reader_listen");
                places.push((key, format!("{name}.reader"), address));
            }
        }
        places.push(("admin.listen".to_owned(), "admin".to_owned(), config.admin.listen));
        for Passed { name, listener } in std::mem::take(&mut self.passed) {
            let address = listener.local_addr();
            let address = address.map_err(|source| Unfit::Kind { number: 0, source })?;
            let by_name = places.iter().find(|(_, known, _)| *known == name);
            let place = by_name.or_else(|| places.iter().find(|(.., at)| same(*at, address)));
            let Some((key, ..)) = place else {
                let names: Vec<_> = places.iter().map(|(_, name, _)| name.as_str()).collect();
                return Err(Unfit::ForNothing { name, address, names: names.join(", ") });
            };
            if self.assigned.insert(key.clone(), listener).is_some() {
                return Err(Unfit::Twice { key: key.clone() });
            }
        }
        Ok(())
    }

    /// The socket in the place of the address that this key names.
    pub(super) fn take(&mut self, key: &str) -> Option<TcpListener> {
        self.assigned.remove(key)
    }
}

/// Whether it is the same place. Every address is every address, in whichever family it is said.
fn same(one: SocketAddr, other: SocketAddr) -> bool {
    let anywhere = one.ip().is_unspecified() && other.ip().is_unspecified();
    one.port() == other.port() && (anywhere || one.ip() == other.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.toml");
        let text = "[services.orders]\nlisten = \"0.0.0.0:3306\"\nreader_listen = \"127.0.0.1:3307\"\n\
                    backend.endpoints = [\"db:3306\"]\nusers.app.password = \"secret\"\n";
        std::fs::write(&path, text).unwrap();
        Config::load(&path, []).unwrap()
    }

    fn assigned(names: &[&str]) -> Result<Vec<String>, Unfit> {
        let passed = |name: &&str| Passed {
            name: (*name).to_owned(),
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
        };
        let passed = names.iter().map(passed).collect();
        let mut sockets = Sockets { passed, assigned: BTreeMap::new() };
        sockets.assign(&config())?;
        Ok(sockets.assigned.into_keys().collect())
    }

    #[test]
    fn a_socket_is_for_what_its_name_says() {
        let keys = assigned(&["admin", "orders.reader", "orders"]).unwrap();
        let expected = ["admin.listen", "services.orders.listen", "services.orders.reader_listen"];
        assert_eq!(keys, expected);
        let stray = assigned(&["orders", "unknown"]).unwrap_err().to_string();
        assert!(stray.contains("one of orders, orders.reader, admin"), "{stray}");
        let twice = assigned(&["orders", "orders"]).unwrap_err().to_string();
        assert!(twice.contains("services.orders.listen"), "{twice}");
    }

    #[test]
    fn an_address_is_the_same_however_everywhere_is_written() {
        let same =
            |one: &str, other: &str| super::same(one.parse().unwrap(), other.parse().unwrap());
        assert!(same("0.0.0.0:3306", "[::]:3306") && same("127.0.0.1:1", "127.0.0.1:1"));
        assert!(!same("0.0.0.0:3306", "127.0.0.1:3306") && !same("0.0.0.0:3306", "[::]:3307"));
    }
}
