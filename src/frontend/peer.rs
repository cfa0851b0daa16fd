//! Where a client comes from: what `allow_from`, limits, the log and refusals go by.

use super::service::Service;
use super::told::Told;
use crate::backend::server::HostNames;
use crate::config::Network;
use crate::net::packet::PacketError;
use crate::net::proxy_header::read_proxy_header;
use crate::wire::proxy_header::ProxyHeader;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Where a client comes from: its own address, also when a trusted proxy is between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The address; one of IPv4 is never written as IPv6.
    pub address: IpAddr,
    /// The address as the server behind would show it: `localhost`, where it calls its own so.
    pub host: Box<str>,
}

/// Why it is not known who is at the other end of a connection.
#[derive(Debug)]
pub enum Unidentified {
    /// The connection is gone.
    Gone,
    /// It comes from where proxies are, and does not say whose it is.
    NoHeader,
}

impl Unidentified {
    /// What the other end is to be told.
    pub fn told(&self) -> Option<Told> {
        match self {
            Self::Gone => None,
            Self::NoHeader => Some(Told::NO_PROXY_HEADER),
        }
    }
}

impl Peer {
    /// A client with this address, as a server shows it that names its clients like this.
    pub fn new(address: IpAddr, names: HostNames) -> Arc<Self> {
        let address = address.to_canonical();
        let host = if names == HostNames::Resolved && address.is_loopback() {
            "localhost".into()
        } else {
            address.to_string().into()
        };
        Arc::new(Self { address, host })
    }

    /// Whether it is in one of these networks. This machine is, whichever of its own addresses is
    /// meant.
    pub fn is_in(&self, networks: &[Network]) -> bool {
        networks.iter().any(|network| {
            network.contains(self.address)
                || self.address.is_loopback()
                    && (network.contains(Ipv4Addr::LOCALHOST.into())
                        || network.contains(Ipv6Addr::LOCALHOST.into()))
        })
    }
}

/// Who is at the other end of a connection from `address`. Where proxies are, that is what its
/// header says, which has to be there by the deadline.
///
/// Not cancel safe: a part of the header may have been read.
///
/// # Errors
///
/// See [`Unidentified`].
pub async fn identify(
    service: &Service,
    tcp: &mut TcpStream,
    address: IpAddr,
    deadline: Instant,
) -> Result<Arc<Peer>, Unidentified> {
    let greeting = service.greeting();
    let trusted = greeting.proxies.iter().any(|network| network.contains(address.to_canonical()));
    let address = if trusted {
        match timeout_at(deadline, read_proxy_header(tcp)).await {
            Ok(Ok(ProxyHeader::For { source, .. })) => source.ip(),
            Ok(Ok(ProxyHeader::Own)) => address,
            Ok(Err(PacketError::Fault(_))) | Err(_) => return Err(Unidentified::NoHeader),
            Ok(Err(PacketError::Closed | PacketError::Io(_))) => return Err(Unidentified::Gone),
        }
    } else {
        address
    };
    let names = service.learned().map(|learned| learned.server.hosts);
    Ok(Peer::new(address, names.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_in_its_network() {
        for (networks, address, inside) in [
            (&["10.0.0.0/8", "192.0.2.0/24"][..], "192.0.2.1", true),
            (&["10.0.0.0/8"], "192.0.2.1", false),
            (&["10.0.0.0/8"], "::ffff:10.1.2.3", true),
            (&["10.0.0.0/8"], "127.0.0.1", false),
            (&["127.0.0.1"], "::1", true),
            (&["::1"], "127.0.0.9", true),
            (&[], "127.0.0.1", false),
        ] {
            let networks: Vec<_> = networks.iter().map(|text| text.parse().unwrap()).collect();
            let peer = Peer::new(address.parse().unwrap(), HostNames::Resolved);
            assert_eq!(peer.is_in(&networks), inside, "{networks:?} {address}");
        }
    }

    #[test]
    fn a_host_is_shown_as_the_server_would() {
        let shown = |address: &str, names| Peer::new(address.parse().unwrap(), names).host.clone();
        assert_eq!(&*shown("::ffff:192.0.2.1", HostNames::Resolved), "192.0.2.1");
        assert_eq!(&*shown("127.0.0.1", HostNames::Resolved), "localhost");
        assert_eq!(&*shown("127.0.0.1", HostNames::Skipped), "127.0.0.1");
    }
}
