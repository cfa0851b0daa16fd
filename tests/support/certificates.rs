//! Throwaway certificates: authorities, and certificates by them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

/// Who signs certificates.
pub(crate) struct Authority {
    folder: PathBuf,
    /// Its certificate, in PEM format.
    pub(crate) certificate: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one, whose files go to `folder` and begin with `name`.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new([]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, "Millpond test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = folder.join(format!("{name}.pem"));
        let signed = params.self_signed(&key).expect("an authority");
        fs::write(&certificate, signed.pem()).expect("to write");
        Self { folder: folder.to_owned(), certificate, issuer: Issuer::new(params, key) }
    }

    /// Signs a certificate with this common name and these alternative names; gives its file and
    /// that of its key, in PEM format.
    pub(crate) fn sign(&self, name: &str, alternatives: &[SanType]) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new([]).expect("parameters");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names.extend_from_slice(alternatives);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let written = |kind: &str, text: String| {
            let path = self.folder.join(format!("{}-{kind}.pem", name.replace(' ', "-")));
            fs::write(&path, text).expect("to write");
            path
        };
        (written("cert", certificate.pem()), written("key", key.serialize_pem()))
    }
}

/// Files in PEM format.
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    /// The authority's certificate.
    pub(crate) authority: PathBuf,
    /// The server's certificate, for `localhost` and `127.0.0.1`.
    pub(crate) certificate: PathBuf,
    /// The server's key.
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// Makes an authority and a certificate, and writes them to `folder`.
    pub(crate) fn generate(folder: &Path) -> Self {
        let authority = Authority::new(folder, "ca");
        let names = [
            SanType::DnsName("localhost".try_into().expect("a name")),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ];
        let (certificate, key) = authority.sign("server", &names);
        Self { authority: authority.certificate, certificate, key }
    }
}
