//! Asks a server whether it takes a password that Millpond does not know.

use crate::backend::login::{LoginRequest, login};
use crate::config::{ProxyProtocol, Secret};
use crate::failover::snapshot::{Health, Snapshot};
use crate::frontend::guests::{AskServer, Asking};
use crate::frontend::told::Told;
use crate::net::tls::ClientTls;
use crate::net::tls::renewed::Renewed;
use crate::wire::capability::Capabilities;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// How many servers are asked at a time: each question is a connection beside those of the pools.
const AT_A_TIME: usize = 4;

/// Asks the writer, or another server that is up.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    pub tls: Renewed<ClientTls>,
    /// What its connections begin with.
    pub proxy_protocol: ProxyProtocol,
    /// How long it may take.
    pub limit: Duration,
    pub turns: Arc<Semaphore>,
}

impl Asker {
    pub(super) fn new(
        snapshot: watch::Receiver<Arc<Snapshot>>,
        tls: Renewed<ClientTls>,
        proxy_protocol: ProxyProtocol,
        limit: Duration,
    ) -> Self {
        Self { snapshot, tls, proxy_protocol, limit, turns: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    async fn log_in(self, user: String, secret: Secret) -> Result<bool, Told> {
        let snapshot = self.snapshot.borrow().clone();
        let up = || snapshot.servers.iter().find(|server| server.health == Health::Up);
        let server = snapshot.writer().or_else(up);
        let unreachable = || Told::no_server(self.limit.as_millis());
        let Some(server) = server else { return Err(unreachable()) };
        let request = LoginRequest {
            user,
            secret,
            extra: Capabilities::default(),
            database: None,
            proxy_protocol: self.proxy_protocol,
        };
        let tls = self.tls.now();
        let asking = async {
            // It is never closed.
            let _turn = self.turns.acquire().await;
            login(&server.endpoint, server.address, &request, &tls).await
        };
        match timeout(self.limit, asking).await {
            // The connection is closed: it is of no pool.
            Ok(Ok(_)) => Ok(true),
            Ok(Err(error)) => {
                if let Some(error) = error.of_account() {
                    return Err(Told::passed_on(error.clone()));
                }
                if error.is_access_denied() {
                    return Ok(false);
                }
                tracing::warn!(user = request.user, %error, "a server could not be asked about a user");
                Err(unreachable())
            }
            Err(_) => Err(unreachable()),
        }
    }
}

impl AskServer for Asker {
    fn ask(&self, user: String, password: Secret) -> Asking {
        Box::pin(self.clone().log_in(user, password))
    }
}
