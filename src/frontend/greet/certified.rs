//! Users who have to show a certificate.

use crate::config::{CertificateRule, CertifiedPassword};
use crate::frontend::users::User;
use crate::net::tls::names::CertificateNames;

/// What a client's certificate means for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certified {
    /// It has to be another one, or there is none.
    No,
    /// It is the user's, or the user needs none: the password decides.
    PasswordToo,
    /// It is the user's and stands for the password.
    Alone,
}

impl Certified {
    /// `certificate` is what the client has shown, in DER. Logs why it is not the user's.
    pub(super) fn judge(user: &User, certificate: Option<&[u8]>, host: &str) -> Self {
        let Some(rule) = &user.certificate else { return Self::PasswordToo };
        let user = &*user.name;
        let Some(names) = certificate.and_then(CertificateNames::of) else {
            tracing::info!(user, host, "refused: no certificate was shown");
            return Self::No;
        };
        match (rule.accepts(&names), rule.password) {
            (true, CertifiedPassword::Needed) => Self::PasswordToo,
            (true, CertifiedPassword::Replaced) => Self::Alone,
            (false, _) => {
                let CertificateNames { subject, issuer, alternatives } = names;
                tracing::info!(
                    user,
                    host,
                    subject,
                    issuer,
                    ?alternatives,
                    "refused: it is not the user's certificate"
                );
                Self::No
            }
        }
    }
}

impl CertificateRule {
    /// Whether a certificate says all that it has to.
    fn accepts(&self, names: &CertificateNames) -> bool {
        let subject = self.subject.as_ref().is_none_or(|wanted| wanted.fits(&names.subject));
        let issuer = self.issuer.as_ref().is_none_or(|wanted| wanted.fits(&names.issuer));
        let mut alternatives = names.alternatives.iter();
        let san = self.san.is_empty()
            || alternatives.any(|name| self.san.iter().any(|wanted| wanted.fits(name)));
        subject && issuer && san
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_a_rule_names_has_to_fit() {
        let names = CertificateNames {
            subject: "/O=Shop/CN=orders".into(),
            issuer: "/CN=Shop CA".into(),
            alternatives: vec!["DNS:orders.shop".into(), "URI:spiffe://shop/orders".into()],
        };
        let rule = |subject: &str, issuer: &str, san: &[&str]| CertificateRule {
            subject: subject.parse().ok(),
            issuer: issuer.parse().ok(),
            san: san.iter().map(|text| text.parse().unwrap()).collect(),
            password: CertifiedPassword::Needed,
        };
        for (subject, issuer, san, accepted) in [
            ("/O=Shop/CN=orders", "", &[][..], true),
            ("*/CN=orders", "/CN=Shop CA", &["URI:spiffe://shop/*"], true),
            ("", "", &["email:x", "DNS:orders.shop"], true),
            ("*/CN=order", "", &[], false),
            ("*/CN=orders", "/CN=Other CA", &[], false),
            ("*/CN=orders", "", &["URI:spiffe://other/*"], false),
        ] {
            let rule = rule(subject, issuer, san);
            assert_eq!(rule.accepts(&names), accepted, "{rule:?}");
        }
    }
}
