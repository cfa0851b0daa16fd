//! What a fuzz target does with arbitrary text: whatever a client brings in place of a password is
//! read to its end without a panic, and nothing is sent to AWS but the one question.

use super::tokens::fuzzing::{request, token};
use crate::net::tls::names::CertificateNames;

/// A token of either kind, or a certificate.
pub fn identity(bytes: &[u8]) {
    let _ = CertificateNames::of(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        request(text);
        token(text);
    }
}
