//! Follows the files of certificates.

use super::reload::Live;
use crate::net::tls::metrics::{CertificateMetrics, Towards};
use crate::net::tls::renewed::{Looked, Renewed};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at. A change is used at the second look that finds it.
const PERIOD: Duration = Duration::from_secs(2);

/// Until the process stops. Files that cannot be used change nothing.
pub(super) async fn follow(
    services: Vec<Live>,
    metrics: CertificateMetrics,
    stopping: CancellationToken,
) {
    let services = Arc::new(services);
    let mut period = tokio::time::interval(PERIOD);
    while stopping.run_until_cancelled(period.tick()).await.is_some() {
        let (services, metrics) = (services.clone(), metrics.clone());
        // Files may be on a disk that is slow, or far away.
        let looked = spawn_blocking(move || {
            for service in services.iter() {
                look_at(service, &metrics);
            }
        });
        // It panics with the one who waits, or the process stops.
        let _ = stopping.run_until_cancelled(looked).await;
    }
}

fn look_at(live: &Live, metrics: &CertificateMetrics) {
    let service = live.name();
    if let Some(tls) = live.front_tls() {
        tell(service, Towards::Clients, &tls, metrics);
        metrics.in_use(service, tls.now().expiries());
    }
    tell(service, Towards::Servers, live.back_tls(), metrics);
    metrics.in_use(service, live.back_tls().now().expiries());
}

fn tell<T>(service: &str, towards: Towards, tls: &Renewed<T>, metrics: &CertificateMetrics) {
    match tls.look() {
        Looked::Same => {}
        Looked::Renewed => {
            metrics.renewed(service, towards);
            tracing::info!(service, towards = towards.name(), "certificates renewed");
        }
        Looked::Broken(error) => {
            metrics.failed(service, towards);
            tracing::error!(
                service,
                towards = towards.name(),
                %error,
                "changed certificates cannot be used, the former are kept"
            );
        }
    }
}
