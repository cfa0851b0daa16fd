//! Orders to a running Millpond: who may give them, how they are written, what is answered.

use super::guard::Refusal;
use super::pages::{given, text};
use super::reload::{NotReloaded, Reloaded, Reloads};
use crate::config::parse_duration;
use crate::frontend::operate::{Done, NotDone, Operation, Operator, Request, Stragglers};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Response, StatusCode, Uri};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How long transactions may go on, unless the order says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most that an order may say.
const LONGEST: Duration = Duration::from_secs(600);
/// How long a switchover holds statements at most, unless it says otherwise.
const SWITCHOVER: Duration = Duration::from_secs(60);

/// What takes orders.
#[derive(Clone, Debug)]
pub struct Control {
    operators: Arc<[Operator]>,
    reloads: Reloads,
}

/// An order that may be carried out.
#[derive(Debug)]
pub(super) enum Authorized {
    /// Something with a service's servers.
    Operate(Operator, Request),
    /// To read the configuration again.
    Reload(Reloads),
}

impl Control {
    /// Orders to these services.
    pub fn new(operators: Vec<Operator>, reloads: Reloads) -> Self {
        Self { operators: operators.into(), reloads }
    }

    /// Whether a path is one for orders.
    pub(super) fn knows(path: &str) -> bool {
        matches!(path, "/pause" | "/resume" | "/drain" | "/switchover" | "/reload")
    }

    /// Reads an order of somebody whose right to give it `admitted` looks at.
    pub(super) fn read(
        &self,
        method: &Method,
        uri: &Uri,
        admitted: impl FnOnce() -> Result<(), Refusal>,
    ) -> Result<Authorized, Refusal> {
        if method != Method::POST {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "an order: only POST\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return Err(Box::new(refusal));
        }
        admitted()?;
        if uri.path() == "/reload" {
            return Ok(Authorized::Reload(self.reloads.clone()));
        }
        let bad = |why: String| Box::new(text(StatusCode::BAD_REQUEST, why + "\n"));
        let query = uri.query().unwrap_or_default();
        for (name, _) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            if !["service", "server", "deadline", "limit", "stragglers"].contains(&name) {
                let known = "service, server, deadline, limit and stragglers";
                return Err(bad(format!("{name}: unknown; there is {known}")));
            }
        }
        let operator = self.operator(given(query, "service"))?;
        let duration = |name: &str| match given(query, name) {
            None => Ok(None),
            Some(value) => match parse_duration(value).filter(|duration| *duration <= LONGEST) {
                Some(duration) => Ok(Some(duration)),
                None => Err(bad(format!("{name}: expected a duration up to 10m, such as 30s"))),
            },
        };
        let (deadline, limit) = (duration("deadline")?, duration("limit")?);
        let stragglers = match given(query, "stragglers") {
            None | Some("undo") => Stragglers::Undo,
            Some("leave") => Stragglers::Leave,
            Some(_) => return Err(bad("stragglers: expected undo or leave".to_owned())),
        };
        let server = given(query, "server").map(str::to_owned);
        let operation = match (uri.path(), server) {
            ("/pause", server) => Operation::Pause(server),
            ("/resume", server) => Operation::Resume(server),
            ("/drain", Some(server)) => Operation::Drain(server),
            ("/drain", None) => return Err(bad("server: expected host:port".to_owned())),
            (_, None) => Operation::Switchover,
            (_, Some(_)) => {
                return Err(bad("server: a switchover is always away from the writer".to_owned()));
            }
        };
        let limit = match operation {
            Operation::Switchover => Some(limit.unwrap_or(SWITCHOVER)),
            _ => limit,
        };
        let patience = deadline.unwrap_or(PATIENCE);
        let request = Request { operation, patience, limit, stragglers };
        Ok(Authorized::Operate(operator, request))
    }

    /// The service that is meant; a lone one need not be named.
    fn operator(&self, name: Option<&str>) -> Result<Operator, Refusal> {
        let found = match (name, &*self.operators) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(name), operators) => operators.iter().find(|known| &*known.service == name),
        };
        found.cloned().ok_or_else(|| {
            let known: Vec<_> = self.operators.iter().map(|known| &*known.service).collect();
            let why = format!("service: expected one of {}\n", known.join(", "));
            Box::new(text(StatusCode::NOT_FOUND, why))
        })
    }
}

impl Authorized {
    /// How long it may take.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::Operate(_, request) => request.patience,
            // Each user's secret may have to be fetched.
            Self::Reload(_) => PATIENCE,
        }
    }

    /// Carries it out.
    pub(super) async fn carry_out(self) -> Response<Full<Bytes>> {
        let (operator, request) = match self {
            Self::Operate(operator, request) => (operator, request),
            Self::Reload(reloads) => return reloaded(&reloads.ask().await),
        };
        match operator.ask(request).await {
            Ok(Done { in_use, waited }) => {
                let waited = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
                let service = &*operator.service;
                let done = json!({"service": service, "in_use": in_use, "waited_ms": waited});
                text(StatusCode::OK, format!("{done}\n"))
            }
            Err(why) => {
                let status = match &why {
                    NotDone::UnknownServer(..) => StatusCode::NOT_FOUND,
                    NotDone::NoWriter | NotDone::Occupied | NotDone::Lifted => StatusCode::CONFLICT,
                    NotDone::InUse(_) => StatusCode::GATEWAY_TIMEOUT,
                    NotDone::NotFollowed(_) => StatusCode::SERVICE_UNAVAILABLE,
                };
                text(status, format!("{why}\n"))
            }
        }
    }
}

fn reloaded(outcome: &Result<Reloaded, NotReloaded>) -> Response<Full<Bytes>> {
    match outcome {
        Ok(Reloaded { changed, needs_restart }) => {
            let done = json!({"changed": changed, "needs_restart": needs_restart});
            text(StatusCode::OK, format!("{done}\n"))
        }
        Err(why @ NotReloaded::Refused(_)) => {
            text(StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n"))
        }
        Err(why @ NotReloaded::Stopping) => {
            text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str, admitted: impl FnOnce() -> Result<(), Refusal>) -> u16 {
        let operator = |name: &str| Operator::channel(&name.into()).0;
        let operators = vec![operator("orders"), operator("users")];
        let control = Control::new(operators, Reloads::channel().0);
        match control.read(&Method::POST, &uri.parse().unwrap(), admitted) {
            Ok(_) => 200,
            Err(refusal) => refusal.status().as_u16(),
        }
    }

    #[test]
    fn who_may_give_none_does_not_learn_whether_an_order_is_right() {
        let refused = || Err(Box::new(text(StatusCode::UNAUTHORIZED, "no\n")));
        assert_eq!(read("/pause?service=orders", refused), 401);
        assert_eq!(read("/pause?service=nobody", refused), 401);
    }

    #[test]
    fn what_is_not_an_order_is_told_so() {
        for (uri, status) in [
            ("/pause", 404),
            ("/pause?service=nobody", 404),
            ("/drain?service=orders", 400),
            ("/drain?service=orders&server=db:1", 200),
            ("/switchover?service=orders&server=db:1", 400),
            ("/pause?service=orders&deadline=soon", 400),
            ("/pause?service=orders&deadline=11m", 400),
            ("/pause?service=orders&deadline=1m&limit=2m&stragglers=leave", 200),
            ("/pause?service=orders&stragglers=kill", 400),
            ("/pause?service=orders&dedline=1m", 400),
        ] {
            assert_eq!(read(uri, || Ok(())), status, "{uri}");
        }
    }
}
