//! Addresses of web services.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

use super::given::{Given, Setting};

/// The address of a web service or of a page of it: `http` or `https` with a host.
///
/// It is compared as it was written. `Debug` and `Display` leave out what stands behind the `?`,
/// where some services want a token; a user name or password in it is refused.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(Uri);

/// A text is not the address of a web service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected http:// or https:// with a host, and neither user nor password")]
pub struct NotAnUrl;

impl HttpUrl {
    /// Whether it is `https`.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        let host = self.0.host().unwrap_or_default();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port; the scheme's own where none is written.
    pub fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.is_encrypted() { 443 } else { 80 })
    }

    /// Host and port as in the header `Host`.
    pub fn authority(&self) -> &str {
        self.0.authority().map_or("", |authority| authority.as_str())
    }

    /// The path and what follows, as they stand in a request's first line.
    pub fn path_and_query(&self) -> &str {
        self.0.path_and_query().map_or("/", |path| path.as_str())
    }

    /// The path alone.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// The address of `path`, which has to be escaped already, below this one; what this one has
    /// behind a `?` is left out.
    ///
    /// # Errors
    ///
    /// When `path` has characters that no address has.
    pub fn join(&self, path: &str) -> Result<Self, NotAnUrl> {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let base = self.0.path().trim_end_matches('/');
        let path = path.trim_start_matches('/');
        format!("{scheme}://{}{base}/{path}", self.authority()).parse()
    }

    /// As it is, with all that it may hold.
    pub fn expose(&self) -> String {
        self.0.to_string()
    }
}

impl FromStr for HttpUrl {
    type Err = NotAnUrl;

    fn from_str(text: &str) -> Result<Self, NotAnUrl> {
        let uri: Uri = text.parse().map_err(|_| NotAnUrl)?;
        let web = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority().ok_or(NotAnUrl)?;
        let host = !authority.host().is_empty();
        // Neither a user in front, nor a port behind that is no number.
        let port = authority.as_str() == authority.host() || {
            let number = authority.port_u16().map(|port| format!("{}:{port}", authority.host()));
            number.as_deref() == Some(authority.as_str())
        };
        (web && host && port && !text.contains('#')).then_some(Self(uri)).ok_or(NotAnUrl)
    }
}

impl Setting for HttpUrl {
    const EXPECTED: &'static str = "the address of a web service, such as \
                                    \"https://vault.internal:8200\", without user and password";

    fn read(given: Given<'_>) -> Option<Self> {
        given.text()?.parse().ok()
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or_default();
        write!(f, "{scheme}://{}{}", self.authority(), self.0.path())
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// `text` as one segment of a path, or as a value behind a `?`: all but letters, digits and `-._~`
/// escaped.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                out.push('%');
                for digit in [byte >> 4, byte & 15] {
                    let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
                    out.push(digit.to_ascii_uppercase());
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_parts_are_found() {
        let url: HttpUrl = "https://Vault.internal/base/?token=hunter2".parse().unwrap();
        assert_eq!((url.host(), url.port(), url.is_encrypted()), ("Vault.internal", 443, true));
        assert_eq!(url.path_and_query(), "/base/?token=hunter2");
        assert_eq!(
            url.join("/v1/a%2Fb?x=1").unwrap().expose(),
            "https://Vault.internal/base/v1/a%2Fb?x=1"
        );
        assert!(!format!("{url} {url:?}").contains("hunter2"));
        let url: HttpUrl = "http://[::1]:2773".parse().unwrap();
        assert_eq!((url.host(), url.port(), url.authority()), ("::1", 2773, "[::1]:2773"));
        assert_eq!(url.path_and_query(), "/");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "vault",
            "vault:8200",
            "ftp://vault",
            "https://",
            "http://u:p@vault",
            "/v1",
            "http://vault:x",
            "http://vault:99999",
            "http://a b",
            "http://vault/#x",
        ] {
            assert_eq!(text.parse::<HttpUrl>(), Err(NotAnUrl), "{text}");
        }
        assert!("http://vault".parse::<HttpUrl>().unwrap().join("a b").is_err());
    }

    #[test]
    fn escaping_leaves_only_what_means_nothing() {
        assert_eq!(escaped("a/b c?ä~-._"), "a%2Fb%20c%3F%C3%A4~-._");
    }
}
