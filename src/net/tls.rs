//! TLS on both sides, by rustls.

use crate::config::{BackTls, BackTlsMode, CertificateFiles, FrontTls, FrontTlsMode};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// TLS cannot be set up as configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A file holds no certificate.
    #[error("{0}: no certificate in it")]
    NoCertificate(PathBuf),
    /// The self-signed certificate could not be made.
    #[error("a certificate could not be generated: {0}")]
    Generate(#[from] rcgen::Error),
    /// Certificate and key do not fit, or a certificate is of no use.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] Error),
    /// The certificates that verify the other side are of no use.
    #[error("the certificate authorities cannot be used: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// How a server is logged in to.
#[derive(Clone)]
pub struct ClientTls {
    /// Whether TLS is wanted, and how much of it is checked.
    pub mode: BackTlsMode,
    connector: Option<TlsConnector>,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl ClientTls {
    /// The connector; `None` when TLS is disabled.
    pub fn connector(&self) -> Option<&TlsConnector> {
        self.connector.as_ref()
    }

    /// Without TLS.
    pub fn disabled() -> Self {
        Self { mode: BackTlsMode::Disabled, connector: None }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The front side's TLS; `None` when it is disabled. Without a configured certificate a
/// self-signed one is made, as servers do.
///
/// # Errors
///
/// When a file is missing or of no use.
pub fn acceptor(config: &FrontTls) -> Result<Option<TlsAcceptor>, TlsError> {
    if config.mode == FrontTlsMode::Disabled {
        return Ok(None);
    }
    let (chain, key) = match &config.identity {
        Some(files) => identity(files)?,
        None => self_signed()?,
    };
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match &config.client_ca {
        Some(path) => {
            let roots = Arc::new(roots(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                .allow_unauthenticated()
                .build()?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Some(TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key)?))))
}

/// The back side's TLS.
///
/// # Errors
///
/// When a file is missing or of no use.
pub fn connector(config: &BackTls) -> Result<ClientTls, TlsError> {
    let verifier: Arc<dyn ServerCertVerifier> = match config.mode {
        BackTlsMode::Disabled => return Ok(ClientTls::disabled()),
        BackTlsMode::Preferred | BackTlsMode::Required => Arc::new(Unverified(provider())),
        BackTlsMode::VerifyCa => Arc::new(AnyName(webpki(config)?)),
        BackTlsMode::VerifyIdentity => webpki(config)?,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config_built = match &config.identity {
        Some(files) => {
            let (chain, key) = identity(files)?;
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(ClientTls { mode: config.mode, connector: Some(TlsConnector::from(Arc::new(config_built))) })
}

fn webpki(config: &BackTls) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let roots = match &config.ca {
        Some(path) => roots(path)?,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
    };
    Ok(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build()?)
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |source| TlsError::File { path: path.to_owned(), source };
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(file)?.collect();
    let certificates = certificates.map_err(file)?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(files: &CertificateFiles) -> Result<Identity, TlsError> {
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| TlsError::File { path: files.key.clone(), source })?;
    Ok((certificates(&files.certificate)?, key))
}

fn self_signed() -> Result<Identity, TlsError> {
    let made = rcgen::generate_simple_self_signed(vec!["millpond".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    Ok((vec![made.cert.der().clone()], key))
}

/// `required`: encrypted, whoever answers.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

/// `verify-ca`: a certificate of a trusted authority, under whatever name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.0.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
