//! Encryption towards clients and towards servers.

use std::path::PathBuf;

use super::given::Choice;
use super::section::Section;
use super::show::Shown;

/// Whether clients may, or must, encrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrontTlsMode {
    /// TLS is not offered.
    Disabled,
    /// TLS is offered, plain connections are served too.
    Preferred,
    /// Plain connections are refused, with a server's error 3159.
    Required,
}

impl Choice for FrontTlsMode {
    const EXPECTED: &'static str = r#""disabled", "preferred" or "required""#;
    const NAMES: &'static [(&'static str, Self)] = &[
        ("disabled", Self::Disabled),
        ("preferred", Self::Preferred),
        ("required", Self::Required),
    ];
}

/// How server connections are encrypted, and what of the server's certificate is checked. The
/// meanings are those of MySQL's `--ssl-mode`:
/// <https://dev.mysql.com/doc/refman/8.4/en/connection-options.html#option_general_ssl-mode>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackTlsMode {
    /// Never encrypted.
    Disabled,
    /// Encrypted if the server offers it; its certificate is not checked.
    Preferred,
    /// Encrypted, or no connection; the certificate is not checked.
    Required,
    /// As `Required`, and the certificate must come from a trusted authority.
    VerifyCa,
    /// As `VerifyCa`, and the certificate must be for the endpoint's host name.
    VerifyIdentity,
}

impl Choice for BackTlsMode {
    const EXPECTED: &'static str =
        r#""disabled", "preferred", "required", "verify-ca" or "verify-identity""#;
    const NAMES: &'static [(&'static str, Self)] = &[
        ("disabled", Self::Disabled),
        ("preferred", Self::Preferred),
        ("required", Self::Required),
        ("verify-ca", Self::VerifyCa),
        ("verify-identity", Self::VerifyIdentity),
    ];
}

/// A certificate chain and its private key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key of the leaf.
    pub key: PathBuf,
}

/// Encryption towards clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontTls {
    /// Whether it is offered or required.
    pub mode: FrontTlsMode,
    /// What Millpond shows to clients; without it, a self-signed certificate made at the start.
    pub identity: Option<CertificateFiles>,
    /// Authorities whose client certificates are accepted; without them none is asked for.
    pub client_ca: Option<PathBuf>,
}

/// Encryption towards servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackTls {
    /// How, and what is checked.
    pub mode: BackTlsMode,
    /// Authorities to trust for `VerifyCa` and `VerifyIdentity`; without it, the system's.
    pub ca: Option<PathBuf>,
    /// What Millpond shows to servers that ask for a certificate.
    pub identity: Option<CertificateFiles>,
}

impl FrontTls {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let mode = section.setting("mode").unwrap_or(FrontTlsMode::Preferred);
        let identity = CertificateFiles::read(section);
        let client_ca = section.path("client_ca");
        if client_ca.is_some() && mode == FrontTlsMode::Disabled {
            let why = "never used, because `mode` is \"disabled\": remove one of the two";
            section.conflict("client_ca", why);
        }
        Self { mode, identity, client_ca }
    }

    pub(super) fn show(&self) -> Shown {
        Shown::new()
            .put("mode", self.mode.name())
            .all(CertificateFiles::show(self.identity.as_ref()))
            .maybe("client_ca", self.client_ca.as_ref().map(|path| path.display().to_string()))
    }
}

impl BackTls {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            mode: section.setting("mode").unwrap_or(BackTlsMode::Preferred),
            ca: section.path("ca"),
            identity: CertificateFiles::read(section),
        }
    }

    pub(super) fn show(&self) -> Shown {
        Shown::new()
            .put("mode", self.mode.name())
            .maybe("ca", self.ca.as_ref().map(|path| path.display().to_string()))
            .all(CertificateFiles::show(self.identity.as_ref()))
    }
}

impl CertificateFiles {
    /// Both or neither.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let certificate = section.path("certificate");
        let key = section.path("key");
        match (section.had("certificate"), section.had("key")) {
            (true, false) => section.missing("key", "the private key of `certificate`"),
            (false, true) => section.missing("certificate", "the certificate that `key` is for"),
            (true, true) | (false, false) => {}
        }
        Some(Self { certificate: certificate?, key: key? })
    }

    pub(super) fn show(files: Option<&Self>) -> Shown {
        let shown = |path: &PathBuf| path.display().to_string();
        Shown::new()
            .maybe("certificate", files.map(|files| shown(&files.certificate)))
            .maybe("key", files.map(|files| shown(&files.key)))
    }
}
