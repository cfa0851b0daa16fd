//! How a program on the command line comes to a running Millpond's admin port.

use crate::config::{AdminConfig, BackTls, BackTlsMode, CertificateFiles, Secret};
use crate::net::tls::{self, TlsError};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where to ask, and what to bring.
#[derive(Clone, Debug)]
pub struct Door {
    address: SocketAddr,
    token: Option<Secret>,
    tls: Option<Arc<ClientConfig>>,
}

/// What to bring that is in no configuration.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// A token, for looking or for orders.
    pub token: Option<Secret>,
    /// Authorities, or the port's own certificate: then it speaks TLS.
    pub ca: Option<PathBuf>,
    /// A certificate of one's own.
    pub identity: Option<CertificateFiles>,
}

impl Door {
    /// The admin port that a configuration describes, on this machine.
    ///
    /// # Errors
    ///
    /// When a certificate cannot be read.
    pub fn of(config: &AdminConfig, keys: Keys) -> Result<Self, TlsError> {
        let own = config.tls.as_ref().map(|tls| tls.identity.certificate.clone());
        let token = config.read_token.clone().or_else(|| config.control_token.clone());
        let keys = Keys { ca: keys.ca.or(own), token: keys.token.or(token), ..keys };
        Self::at(config.listen, keys)
    }

    /// The admin port at this address.
    ///
    /// # Errors
    ///
    /// When a certificate cannot be read.
    pub fn at(listen: SocketAddr, keys: Keys) -> Result<Self, TlsError> {
        let tls = match keys.ca {
            None => None,
            Some(ca) => {
                let trust =
                    BackTls { mode: BackTlsMode::VerifyCa, ca: Some(ca), identity: keys.identity };
                tls::connector(&trust)?.connector().map(|connector| connector.config().clone())
            }
        };
        Ok(Self { address: reachable(listen), token: keys.token, tls })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks for a page: head and body, of at most `longest` bytes.
    pub(super) fn fetch(&self, path: &str, longest: u64) -> io::Result<String> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        match &self.tls {
            None => self.ask(stream, path, longest),
            Some(config) => {
                let name = ServerName::from(self.address.ip());
                let connection =
                    ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                self.ask(StreamOwned::new(connection, stream), path, longest)
            }
        }
    }

    fn ask(&self, mut stream: impl Read + Write, path: &str, longest: u64) -> io::Result<String> {
        let mut request =
            format!("GET {path} HTTP/1.1\r\nHost: millpond\r\nConnection: close\r\n").into_bytes();
        if let Some(token) = &self.token {
            request.extend_from_slice(b"Authorization: Bearer ");
            request.extend_from_slice(token.expose());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request)?;
        stream.flush()?;
        let mut answer = Vec::new();
        stream.take(longest).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// Where a listener can be reached from its own machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
