//! What a certificate says of whom it is for, as text that rules can be written for.

use std::fmt::Write;
use std::net::IpAddr;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

/// Whom a certificate is for, and by whom it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateNames {
    /// The subject, as OpenSSL and so MySQL's `REQUIRE SUBJECT` write it: `/C=SE/O=Shop/CN=orders`.
    /// Unlike there a `/` within a value is `\x2F`, so that nothing can look like what it is not.
    pub subject: String,
    /// The issuer, likewise.
    pub issuer: String,
    /// The alternative names, each with its kind: `URI:…`, `DNS:…`, `email:…`, `IP:…`.
    pub alternatives: Vec<String>,
}

impl CertificateNames {
    /// Reads a certificate in DER; `None` when it is none.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let alternatives = parsed.subject_alternative_name().ok().flatten();
        Some(Self {
            subject: line(parsed.subject()),
            issuer: line(parsed.issuer()),
            alternatives: alternatives
                .map(|names| names.value.general_names.iter().filter_map(alternative).collect())
                .unwrap_or_default(),
        })
    }
}

/// When a certificate in DER expires, in seconds since 1970; `None` when it is none.
pub fn expiry(certificate: &[u8]) -> Option<i64> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

fn alternative(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::URI(uri) => Some(format!("URI:{uri}")),
        // Case does not matter in it.
        GeneralName::DNSName(name) => Some(format!("DNS:{}", name.to_ascii_lowercase())),
        GeneralName::RFC822Name(address) => Some(format!("email:{address}")),
        GeneralName::IPAddress(bytes) => {
            let address = match <[u8; 4]>::try_from(*bytes) {
                Ok(bytes) => IpAddr::from(bytes),
                Err(_) => IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?),
            };
            Some(format!("IP:{address}"))
        }
        _ => None,
    }
}

fn line(name: &X509Name<'_>) -> String {
    let mut line = String::new();
    for attribute in name.iter_attributes() {
        let kind = attribute.attr_type().to_id_string();
        let kind = KINDS.iter().find(|(id, _)| *id == kind).map_or(&*kind, |(_, short)| short);
        line.push('/');
        line.push_str(kind);
        line.push('=');
        for byte in attribute.attr_value().data {
            match byte {
                b'/' | b'\\' | ..=0x1F | 0x7F.. => {
                    // Into memory, which takes everything.
                    let _ = write!(line, "\\x{byte:02X}");
                }
                printable => line.push(char::from(*printable)),
            }
        }
    }
    line
}

/// OpenSSL's short names.
const KINDS: [(&str, &str); 14] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.42", "GN"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    #[test]
    fn names_are_read_as_rules_are_written() {
        let mut params = CertificateParams::new(["DB.Shop.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in [
            (DnType::CountryName, "SE"),
            (DnType::OrganizationName, "Shop/CN=admin"),
            (DnType::CommonName, "bestellungen ö"),
        ] {
            params.distinguished_name.push(kind, value);
        }
        params.subject_alt_names.extend([
            SanType::URI("spiffe://shop/orders".try_into().unwrap()),
            SanType::Rfc822Name("orders@shop.example".try_into().unwrap()),
            SanType::IpAddress([10, 0, 0, 1].into()),
        ]);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let subject = r"/C=SE/O=Shop\x2FCN=admin/CN=bestellungen \xC3\xB6".to_owned();
        let names = CertificateNames {
            issuer: subject.clone(),
            subject,
            alternatives: vec![
                "DNS:db.shop.example".to_owned(),
                "URI:spiffe://shop/orders".to_owned(),
                "email:orders@shop.example".to_owned(),
                "IP:10.0.0.1".to_owned(),
            ],
        };
        assert_eq!(CertificateNames::of(certificate.der()), Some(names));
        assert!(expiry(certificate.der()).is_some_and(|at| at > 0));
        assert_eq!(CertificateNames::of(b"nonsense"), None);
    }
}
