//! Who may look, and who may give orders.

use super::pages::text;
use crate::config::{AdminConfig, Secret};
use crate::net::tls::names::CertificateNames;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;

/// What somebody who may not, or not so, is answered.
pub(super) type Refusal = Box<Response<Full<Bytes>>>;

/// What whoever comes to the admin port has to bring.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    read_token: Option<Secret>,
    control_token: Option<Secret>,
    /// Where client certificates are asked for: whose owners may give orders. Those of others may
    /// look.
    controllers: Option<Arc<[String]>>,
}

/// Somebody at the admin port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visitor {
    /// Where it comes from.
    pub(super) peer: IpAddr,
    /// What its certificate lets it do.
    pub(super) right: Option<Right>,
}

/// What a certificate lets its owner do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// To look, and to give orders.
    Control,
    /// To look.
    Look,
}

impl Guard {
    /// As it is configured.
    pub fn new(config: &AdminConfig) -> Self {
        let tls = config.tls.as_ref().filter(|tls| tls.client_ca.is_some());
        Self {
            read_token: config.read_token.clone(),
            control_token: config.control_token.clone(),
            controllers: tls.map(|tls| tls.control_names.as_slice().into()),
        }
    }

    /// What a certificate, which comes from a trusted authority, lets its owner do.
    pub(super) fn right(&self, certificate: &[u8]) -> Option<Right> {
        let controllers = self.controllers.as_ref()?;
        let names = CertificateNames::of(certificate)?;
        let controls =
            |name: &String| *name == names.subject || names.alternatives.iter().any(|a| a == name);
        Some(if controllers.iter().any(controls) { Right::Control } else { Right::Look })
    }

    /// Whether somebody may look.
    pub(super) fn may_look(&self, headers: &HeaderMap, visitor: Visitor) -> Result<(), Refusal> {
        let open = self.read_token.is_none() && self.controllers.is_none();
        let brings = |token: &Option<Secret>| token.as_ref().is_some_and(|t| brought(headers, t));
        if open
            || visitor.right.is_some()
            || brings(&self.read_token)
            || brings(&self.control_token)
        {
            return Ok(());
        }
        Err(self.unauthorized(self.read_token.as_ref().map(|_| "admin.read_token")))
    }

    /// Whether somebody may give orders.
    pub(super) fn may_control(&self, headers: &HeaderMap, visitor: Visitor) -> Result<(), Refusal> {
        if visitor.right == Some(Right::Control) {
            return Ok(());
        }
        match &self.control_token {
            Some(token) if brought(headers, token) => Ok(()),
            Some(_) => Err(self.unauthorized(Some("admin.control_token"))),
            // A page in a browser on this machine is not somebody on this machine.
            None if visitor.peer.to_canonical().is_loopback() && !headers.contains_key(ORIGIN) => {
                self.may_look(headers, visitor)
            }
            None => {
                let why = "orders come from this machine only, unless admin.control_token is set\n";
                Err(Box::new(text(StatusCode::FORBIDDEN, why)))
            }
        }
    }

    /// By which token, if any, it could be done.
    fn unauthorized(&self, key: Option<&'static str>) -> Refusal {
        let why = match (key, self.controllers.is_some()) {
            (Some(key), true) => {
                format!("expected Authorization: Bearer, and {key}, or a certificate\n")
            }
            (Some(key), false) => format!("expected Authorization: Bearer, and {key}\n"),
            (None, _) => "expected a certificate from admin.tls.client_ca\n".to_owned(),
        };
        let mut refusal = text(StatusCode::UNAUTHORIZED, why);
        refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Box::new(refusal)
    }
}

/// Whether a token is what the request brings.
fn brought(headers: &HeaderMap, token: &Secret) -> bool {
    let sent = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let sent = sent.and_then(|value| value.strip_prefix(b"Bearer "));
    sent.is_some_and(|sent| Secret::new(sent) == *token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderName;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    fn guard(read: Option<&str>, control: Option<&str>) -> Guard {
        let token = |token: Option<&str>| token.map(Secret::new);
        Guard { read_token: token(read), control_token: token(control), controllers: None }
    }

    /// The statuses of looking and of an order.
    fn asked(guard: &Guard, peer: IpAddr, headers: &[(&str, &str)]) -> (u16, u16) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.insert(name, HeaderValue::from_str(value).unwrap());
        }
        let visitor = Visitor { peer, right: None };
        let status =
            |answer: Result<(), Refusal>| answer.map_or_else(|r| r.status().as_u16(), |()| 200);
        (status(guard.may_look(&map, visitor)), status(guard.may_control(&map, visitor)))
    }

    const NOTHING: &[(&str, &str)] = &[];
    const READ: &[(&str, &str)] = &[("authorization", "Bearer peep")];
    const CONTROL: &[(&str, &str)] = &[("authorization", "Bearer sesame")];
    const WRONG: &[(&str, &str)] = &[("authorization", "Bearer sesam")];
    const PAGE: &[(&str, &str)] = &[("origin", "http://evil")];

    #[test]
    fn without_tokens_anybody_looks_and_this_machine_gives_orders() {
        let guard = guard(None, None);
        assert_eq!(asked(&guard, HERE, NOTHING), (200, 200));
        assert_eq!(asked(&guard, HERE, PAGE), (200, 403));
        assert_eq!(asked(&guard, THERE, NOTHING), (200, 403));
    }

    #[test]
    fn a_token_for_orders_is_needed_here_too_and_lets_look() {
        let guard = guard(None, Some("sesame"));
        assert_eq!(asked(&guard, HERE, NOTHING), (200, 401));
        assert_eq!(asked(&guard, HERE, WRONG), (200, 401));
        assert_eq!(asked(&guard, THERE, CONTROL), (200, 200));
    }

    #[test]
    fn a_token_to_look_gives_no_orders() {
        let both = guard(Some("peep"), Some("sesame"));
        assert_eq!(asked(&both, THERE, NOTHING), (401, 401));
        assert_eq!(asked(&both, HERE, NOTHING), (401, 401));
        assert_eq!(asked(&both, THERE, READ), (200, 401));
        assert_eq!(asked(&both, HERE, READ), (200, 401));
        assert_eq!(asked(&both, THERE, CONTROL), (200, 200));
        // Without one for orders, they come from this machine, from one who may look.
        let one = guard(Some("peep"), None);
        assert_eq!(asked(&one, HERE, NOTHING), (401, 401));
        assert_eq!(asked(&one, HERE, READ), (200, 200));
        assert_eq!(asked(&one, THERE, READ), (200, 403));
    }

    #[test]
    fn a_certificate_lets_look_and_some_give_orders() {
        let guard = Guard {
            controllers: Some(["/CN=ops".to_owned(), "DNS:ops.internal".to_owned()].into()),
            ..guard(None, None)
        };
        let right = |name: &str, alternative: &str| {
            let mut params = rcgen::CertificateParams::new([alternative.to_owned()]).unwrap();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            guard.right(made.der())
        };
        assert_eq!(right("ops", "other.internal"), Some(Right::Control));
        assert_eq!(right("somebody", "ops.internal"), Some(Right::Control));
        assert_eq!(right("somebody", "other.internal"), Some(Right::Look));
        assert_eq!(guard.right(b"no certificate"), None);
        assert_eq!(asked(&guard, HERE, NOTHING).0, 401);
        let visitor = |right| Visitor { peer: THERE, right: Some(right) };
        let none = HeaderMap::new();
        assert!(guard.may_look(&none, visitor(Right::Look)).is_ok());
        assert!(guard.may_control(&none, visitor(Right::Look)).is_err());
        assert!(guard.may_control(&none, visitor(Right::Control)).is_ok());
    }
}
