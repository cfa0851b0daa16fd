//! What the files of certificates hold.

use std::path::Path;

use ::aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore};
use zeroize::Zeroizing;

use super::{TlsError, provider};
use crate::config::CertificateFiles;

pub(super) fn content(path: &Path, what: &'static str) -> TlsError {
    TlsError::Content { path: path.into(), what }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.into(), source })
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(content(path, "expected certificates in PEM")),
    }
}

pub(super) fn authorities(trusted: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    roots
}

pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, certificate).as_ref());
    fingerprint
}

/// What to show to the other side. rustls reads no certificates of version 1, which
/// `openssl x509 -req` makes and OpenSSL on the other side takes: of these alone it is not known
/// whether they fit their key.
pub(super) fn identity(files: &CertificateFiles) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&Zeroizing::new(read(&files.key)?))
        .map_err(|_| content(&files.key, "expected an unencrypted private key in PEM"))?;
    let unfit = |source| TlsError::Identity { path: files.certificate.clone(), source };
    let key = provider().key_provider.load_private_key(key).map_err(unfit)?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(())
        | Err(Error::InconsistentKeys(InconsistentKeys::Unknown))
        | Err(Error::InvalidCertificate(CertificateError::Other(_))) => Ok(certified),
        Err(error) => Err(unfit(error)),
    }
}

/// ECDSA, because a handshake costs a third of what it does with RSA, and every client knows it.
pub(super) fn self_signed() -> Result<CertifiedKey, TlsError> {
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "Millpond_Auto_Generated_Server_Certificate");
    let certificate = params.self_signed(&key)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    Ok(CertifiedKey::from_der(vec![certificate.der().clone()], key, &provider())?)
}
