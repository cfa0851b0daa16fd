//! The addresses behind a name, asked for again and again: a database service that moves tells so
//! by its name first.
//!
//! The system's resolver is not used: it can be slow for seconds when a name server is away, it
//! can't be given up, and a daemon in front of it caches. What is asked here is never cached,
//! CNAMEs are followed, and every address counts.

use crate::config::Endpoint;
use crate::failover::probe::Pace;
use crate::failover::roster::Member;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{Resolver, TokioResolver};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

/// Between two looks in doubt: a name server is shared by many.
const ALERT: Duration = Duration::from_millis(100);
/// For one question to one name server.
const QUESTION: Duration = Duration::from_secs(1);
/// For a whole look.
const LOOK: Duration = Duration::from_secs(5);
/// More addresses than that of one name are left out.
const MOST: usize = 16;

/// Looks names up.
#[derive(Clone)]
pub struct Names {
    resolver: TokioResolver,
    calm: Duration,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").field("calm", &self.calm).finish_non_exhaustive()
    }
}

impl Names {
    /// Asks the name server at `server`, otherwise those of the system; every `calm` while nothing
    /// is in doubt.
    ///
    /// # Errors
    ///
    /// When the system's configuration names none.
    pub fn new(server: Option<SocketAddr>, calm: Duration) -> Result<Self, NetError> {
        let mut builder = match server {
            Some(server) => {
                let connections =
                    [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                        connection.port = server.port();
                        connection
                    });
                let server = NameServerConfig::new(server.ip(), true, connections.into());
                let config = ResolverConfig::from_name_servers(vec![server]);
                Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
            None => Resolver::builder_tokio()?,
        };
        let options = builder.options_mut();
        options.cache_size = 0;
        options.timeout = QUESTION;
        options.attempts = 1;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        Ok(Self { resolver: builder.build()?, calm })
    }

    /// Tells the addresses of an endpoint's name whenever they are others, until nobody listens.
    /// A name that can't be resolved takes no server away.
    pub(in crate::failover) async fn watch(
        self,
        number: usize,
        endpoint: Arc<Endpoint>,
        mut pace: watch::Receiver<Pace>,
        found: mpsc::Sender<(usize, Vec<Member>)>,
    ) {
        let (mut known, mut failing) = (Vec::new(), false);
        loop {
            match self.look(&endpoint.host).await {
                Ok(addresses) => {
                    failing = false;
                    if addresses != known {
                        tracing::info!(name = endpoint.host, ?addresses, "a name has addresses");
                        known.clone_from(&addresses);
                        let member = |ip| Member {
                            address: Some(SocketAddr::new(ip, endpoint.port)),
                            endpoint: endpoint.clone(),
                            identity: None,
                        };
                        let members = addresses.into_iter().map(member).collect();
                        if found.send((number, members)).await.is_err() {
                            return;
                        }
                    }
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(name = endpoint.host, error, "a name cannot be resolved");
                }
                Err(_) => {}
            }
            let pause = match *pace.borrow_and_update() {
                Pace::Calm => self.calm.mul_f64(0.9 + 0.2 * fastrand::f64()),
                Pace::Alert => ALERT,
                Pace::Asleep => Duration::MAX,
            };
            tokio::select! {
                () = sleep(pause) => {}
                changed = pace.changed() => if changed.is_err() { return },
            }
        }
    }

    /// All addresses, in order; at least one.
    async fn look(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        let looked = timeout(LOOK, self.resolver.lookup_ip(name)).await;
        let found = looked.map_err(|_| "no answer in time")?.map_err(|error| error.to_string())?;
        let mut addresses: Vec<IpAddr> = found.iter().collect();
        addresses.sort();
        addresses.dedup();
        addresses.truncate(MOST);
        if addresses.is_empty() { Err("no address".to_owned()) } else { Ok(addresses) }
    }
}
