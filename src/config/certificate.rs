//! Which certificates of clients are a user's.

use super::pattern::Pattern;
use super::section::Section;
use super::show::Shown;

/// `[services.<name>.users.<user>.certificate]`: what the certificate has to say, all of it, that the
/// user has to show. As MySQL's `REQUIRE SUBJECT … AND ISSUER …`:
/// <https://dev.mysql.com/doc/refman/8.4/en/create-user.html#create-user-tls>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRule {
    /// The subject, as `/C=SE/O=Shop/CN=orders`.
    pub subject: Option<Pattern>,
    /// The issuer, likewise.
    pub issuer: Option<Pattern>,
    /// One of these has to be among the alternative names, each as `URI:spiffe://…`, `DNS:…`,
    /// `email:…` or `IP:…`; any when there is none.
    pub san: Vec<Pattern>,
    /// What becomes of the password.
    pub password: CertifiedPassword,
}

/// What becomes of the password of a user who has to show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertifiedPassword {
    /// It has to be proven, too.
    Needed,
    /// The certificate stands for it.
    Replaced,
}

/// How an alternative name begins.
const KINDS: [&str; 4] = ["URI:", "DNS:", "email:", "IP:"];

impl CertificateRule {
    /// `None` after a refusal.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let name = "a name such as \"/O=Shop/CN=orders\", in which * stands for any characters";
        let subject = section.parsed("subject", name, |text| text.parse().ok());
        let issuer = section.parsed("issuer", name, |text| text.parse().ok());
        let san = section.list(
            "san",
            "names such as \"URI:spiffe://shop/orders\", \"DNS:…\", \"email:…\" or \"IP:…\", in \
             which * stands for any characters",
            |text| text.parse().ok().filter(|_| KINDS.iter().any(|kind| text.starts_with(kind))),
        );
        let password = match section.setting("instead_of_password") {
            Some(true) => CertifiedPassword::Replaced,
            Some(false) | None => CertifiedPassword::Needed,
        };
        if !["subject", "issuer", "san"].iter().any(|name| section.had(name)) {
            section.missing("subject", "it, or `san` or `issuer`: whose certificate it has to be");
            return None;
        }
        Some(Self { subject, issuer, san: san.unwrap_or_default(), password })
    }

    pub(super) fn show(&self) -> Shown {
        let text = |pattern: &Option<Pattern>| pattern.as_ref().map(Pattern::to_string);
        let san: Vec<String> = self.san.iter().map(Pattern::to_string).collect();
        Shown::new()
            .maybe("subject", text(&self.subject))
            .maybe("issuer", text(&self.issuer))
            .maybe("san", (!san.is_empty()).then_some(san))
            .put("instead_of_password", self.password == CertifiedPassword::Replaced)
    }
}
