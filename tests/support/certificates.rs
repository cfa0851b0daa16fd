//! Throwaway certificates: an authority, and a server's certificate by it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::{fs, io};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

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
        let mut authority = CertificateParams::new([]).expect("parameters");
        authority.distinguished_name.push(rcgen::DnType::CommonName, "Millpond test authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().expect("a key");
        let authority_certificate = authority.self_signed(&authority_key).expect("an authority");
        let issuer = Issuer::new(authority, authority_key);

        let mut server = CertificateParams::new(["localhost".to_owned()]).expect("parameters");
        server.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        server.distinguished_name.push(rcgen::DnType::CommonName, "Millpond test server");
        let key = KeyPair::generate().expect("a key");
        let certificate = server.signed_by(&key, &issuer).expect("a certificate");

        let written = |name: &str, text: String| -> io::Result<PathBuf> {
            let path = folder.join(name);
            fs::write(&path, text).map(|()| path)
        };
        Self {
            authority: written("ca.pem", authority_certificate.pem()).expect("to write"),
            certificate: written("server-cert.pem", certificate.pem()).expect("to write"),
            key: written("server-key.pem", key.serialize_pem()).expect("to write"),
        }
    }
}
