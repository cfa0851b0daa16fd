//! A client that does no more than it must.

use bytes::{BufMut, BytesMut};
use millpond::backend::dialogue::{Content, Question, read_reply};
use millpond::backend::login::{LoginError, LoginRequest, login};
use millpond::config::secret::Secret;
use millpond::config::{BackTls, BackTlsMode, Endpoint, ProxyProtocol};
use millpond::net::buffer::ReadBuffer;
use millpond::net::link::{LinkError, fill, send};
use millpond::net::stream::Stream;
use millpond::net::tls::{ClientTls, connector};
use millpond::wire::capability::Capabilities;
use millpond::wire::command::{CommandCode, put_parts};
use millpond::wire::exchange::{Control, Exchange, ReplyShape, Step};

/// Where to connect, and as whom.
pub(crate) struct Target {
    endpoint: Endpoint,
    request: LoginRequest,
    tls: ClientTls,
}

impl Target {
    pub(crate) fn new(
        address: &str,
        user: &str,
        password: &str,
        database: &str,
        tls: bool,
    ) -> Option<Self> {
        let endpoint = Endpoint::parse(address)?;
        let request = LoginRequest {
            user: user.to_owned(),
            secret: Secret::new(password),
            extra: Capabilities::default(),
            database: (!database.is_empty()).then(|| database.to_owned()),
            proxy_protocol: ProxyProtocol::Off,
        };
        let mode = if tls { BackTlsMode::Required } else { BackTlsMode::Disabled };
        let tls = connector(&BackTls { mode, ca: None, identity: None }).ok()?;
        Some(Self { endpoint, request, tls })
    }
}

/// What went wrong, as far as the report tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    Link,
    Login,
    Refused,
    Server,
    Timeout,
}

impl From<LinkError> for Failure {
    fn from(_: LinkError) -> Self {
        Self::Link
    }
}

impl From<LoginError> for Failure {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Io(_) => Self::Link,
            LoginError::Refused(error) if matches!(error.code, 1040 | 1203) => Self::Refused,
            _ => Self::Login,
        }
    }
}

/// A connection.
pub(crate) struct Client {
    stream: Stream,
    input: ReadBuffer,
    capabilities: Capabilities,
}

impl Client {
    pub(crate) async fn connect(target: &Target) -> Result<Self, Failure> {
        let login = login(&target.endpoint, None, &target.request, &target.tls).await?;
        let capabilities = login.server.capabilities;
        Ok(Self { stream: login.stream, input: ReadBuffer::with(&login.leftover), capabilities })
    }

    pub(crate) async fn query(&mut self, sql: &[u8]) -> Result<(), Failure> {
        let mut out = BytesMut::new();
        Question::Query(sql).put(&mut out, self.capabilities);
        self.exchange(&out, ReplyShape::Query).await
    }

    pub(crate) async fn prepare(&mut self, sql: &[u8]) -> Result<u32, Failure> {
        let question = Question::Prepare(sql);
        let mut out = BytesMut::new();
        question.put(&mut out, self.capabilities);
        send(&mut self.stream, &out).await?;
        let reply =
            read_reply(&mut self.stream, &mut self.input, question.shape(), self.capabilities);
        match reply.await?.content {
            Content::Prepared { id } => Ok(id),
            _ => Err(Failure::Server),
        }
    }

    pub(crate) async fn execute(&mut self, statement: u32, value: u64) -> Result<(), Failure> {
        let mut body = BytesMut::new();
        body.put_u8(CommandCode::StmtExecute.byte());
        body.put_u32_le(statement);
        // No cursor, one iteration, no NULL, types follow: an unsigned BIGINT. With query attributes
        // the number of parameters comes first, and types have names.
        if self.capabilities.has(Capabilities::QUERY_ATTRIBUTES) {
            body.put_slice(&[0, 1, 0, 0, 0, 1, 0, 1, 8, 0x80, 0]);
        } else {
            body.put_slice(&[0, 1, 0, 0, 0, 0, 1, 8, 0x80]);
        }
        body.put_u64_le(value);
        let mut out = BytesMut::new();
        put_parts(&mut out, &[&body]);
        self.exchange(&out, ReplyShape::Execute).await
    }

    async fn exchange(&mut self, command: &[u8], shape: ReplyShape) -> Result<(), Failure> {
        send(&mut self.stream, command).await?;
        let mut exchange = Exchange::new(shape);
        let mut failed = false;
        loop {
            match exchange.step(self.input.filled_mut()).map_err(|_| Failure::Link)? {
                Step::Done => break,
                Step::Pass(n) => self.input.consume(n),
                Step::Control { kind, length } => {
                    failed |= kind == Control::Err;
                    self.input.consume(length);
                }
                Step::NeedMore(n) => {
                    self.input.reserve(n);
                    fill(&mut self.stream, &mut self.input).await?;
                }
            }
        }
        if failed { Err(Failure::Server) } else { Ok(()) }
    }

    pub(crate) async fn quit(mut self) {
        let _ = send(&mut self.stream, &[1, 0, 0, 0, CommandCode::Quit.byte()]).await;
    }
}
