//! The readers of tokens, for fuzz targets.

use super::{aws, jwt};

/// A request that a client has signed.
pub fn request(text: &str) {
    if aws::is_request(text) {
        aws::fuzz(text);
    }
}

/// A token that an issuer has signed.
pub fn token(text: &str) {
    if jwt::is_token(text) {
        let _ = jsonwebtoken::decode_header(text);
    }
}
