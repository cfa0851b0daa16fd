//! `[admin]`: where operators look and give orders, and what they have to bring.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::secret::Secret;
use super::section::Section;
use super::show::{HIDDEN, Shown};
use super::tls::CertificateFiles;

/// `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    pub listen: SocketAddr,
    /// Whether strangers may reach it.
    pub reach: AdminReach,
    /// What whoever looks has to bring; without it, or certificates, anybody may look.
    pub read_token: Option<Secret>,
    /// What orders have to bring; without it, they come from this machine.
    pub control_token: Option<Secret>,
    /// Encryption; plain HTTP without it.
    pub tls: Option<AdminTls>,
}

/// From where the admin port may be reached by those who bring nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminReach {
    /// Only from this machine.
    Local,
    /// From anywhere: the network around it keeps strangers out.
    Remote,
}

/// `[admin.tls]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminTls {
    /// What Millpond shows.
    pub identity: CertificateFiles,
    /// Authorities whose certificates let their owners look.
    pub client_ca: Option<PathBuf>,
    /// The owners who may give orders, too: subjects and alternative names.
    pub control_names: Vec<String>,
}

const NAMES: &str = "subjects and alternative names of certificates, such as [\"/O=Shop/CN=ops\", \
                     \"DNS:ops.internal\"]";

impl AdminConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9_306);
        let listen: SocketAddr = section.setting("listen").unwrap_or(local);
        let reach = match section.setting("allow_remote") {
            Some(true) => AdminReach::Remote,
            Some(false) | None => AdminReach::Local,
        };
        let read_token = section.secret("read_token");
        let control_token = section.secret("control_token");
        let tls = section.section("tls", AdminTls::read);
        let certified = tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let guarded = section.had("read_token") || certified || reach == AdminReach::Remote;
        if !listen.ip().is_loopback() && !guarded {
            let why = "strangers could look, from other machines: expected a loopback address such \
                       as \"127.0.0.1:9306\", or `read_token` or `tls.client_ca` beside it, or \
                       `allow_remote = true` where the network keeps strangers out";
            section.conflict("listen", why);
        }
        Self { listen, reach, read_token, control_token, tls }
    }

    pub(super) fn show(&self) -> Shown {
        let hidden = |token: &Option<Secret>| token.as_ref().map(|_| HIDDEN.to_owned());
        let shown = Shown::new()
            .put("listen", self.listen.to_string())
            .put("allow_remote", self.reach == AdminReach::Remote)
            .maybe("read_token", hidden(&self.read_token))
            .maybe("control_token", hidden(&self.control_token));
        match &self.tls {
            Some(tls) => shown.section("tls", tls.show()),
            None => shown,
        }
    }

    /// The tokens of two configurations that differ, which are hidden where settings are shown.
    pub(super) fn changed_tokens(&self, other: &Self) -> Vec<String> {
        [
            ("admin.read_token", self.read_token != other.read_token),
            ("admin.control_token", self.control_token != other.control_token),
        ]
        .into_iter()
        .filter(|(_, differ)| *differ)
        .map(|(key, _)| key.to_owned())
        .collect()
    }
}

impl AdminTls {
    /// `None` for plain HTTP.
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let identity = CertificateFiles::read(section);
        let client_ca = section.path("client_ca");
        let control_names = section
            .list("control_names", NAMES, |name| (!name.is_empty()).then(|| name.to_owned()));
        if client_ca.is_some() && !section.had("certificate") {
            section.missing("certificate", "what Millpond shows to those who show theirs");
        }
        if control_names.is_some() && !section.had("client_ca") {
            section.missing("client_ca", "the authorities from which these certificates come");
        }
        let control_names = control_names.unwrap_or_default();
        Some(Self { identity: identity?, client_ca, control_names })
    }

    fn show(&self) -> Shown {
        let names = (!self.control_names.is_empty()).then(|| self.control_names.clone());
        Shown::new()
            .all(CertificateFiles::show(Some(&self.identity)))
            .maybe("client_ca", self.client_ca.as_ref().map(|path| path.display().to_string()))
            .maybe("control_names", names)
    }
}
