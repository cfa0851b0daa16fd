//! The only file that knows every floor: builds, wires, drains.

use std::io;
use std::net::{SocketAddr, TcpListener};

use prometheus::Registry;
use tokio::sync::watch;

use crate::admin::{self, AdminServer, Pages, Readiness};
use crate::config::Config;

/// Why the process can't go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The admin port can't be served.
    #[error("admin.listen = \"{address}\": {source}")]
    Admin {
        /// Where it should be.
        address: SocketAddr,
        /// Why it isn't.
        source: io::Error,
    },
    /// The admin port's thread is gone.
    #[error("the admin port's thread ended by itself")]
    AdminEnded,
    /// Two metrics have the same name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Serves until `shutdown`, then drains.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let registry = Registry::new();
    admin::metrics::register(&registry)?;
    let readiness = watch::Sender::new(Readiness::Starting);
    let pages = Pages::new(registry, readiness.subscribe());
    let address = config.admin.listen;
    let failed = |source| Error::Admin { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let mut admin = AdminServer::start(listener, pages).map_err(failed)?;
    tracing::info!(address = %admin.address(), "admin port open");

    readiness.send_replace(Readiness::Ready);
    let outcome = tokio::select! {
        () = shutdown => Ok(()),
        () = admin.ended() => Err(Error::AdminEnded),
    };
    readiness.send_replace(Readiness::Draining);
    outcome
}
