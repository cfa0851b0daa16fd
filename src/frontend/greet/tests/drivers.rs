//! What drivers do: mysql_common computes the proofs.

use super::*;
use crate::backend::login::{LoginRequest, login};
use crate::config::{BackTls, BackTlsMode, Endpoint};
use crate::net::tls::connector;
use crate::wire::greeting::AuthSwitchRequest;
use crate::wire::reply::ErrPacket;
use mysql_common::auth::plugins::{AuthProc, ChallengeResponsePlugin, Context as Prover};
use mysql_common::packets::AuthPlugin;

/// A driver with a default plugin.
#[derive(Debug, Clone, Copy)]
struct Driver<'a> {
    user: &'a str,
    password: &'a str,
    /// The plugin that it names in its response.
    named: &'a str,
    tls: bool,
}

impl Prover for Driver<'_> {
    fn pass(&self) -> &[u8] {
        self.password.as_bytes()
    }
    fn is_ipc_transport(&self) -> bool {
        false
    }
    fn is_tls_transport(&self) -> bool {
        self.tls
    }
    fn scramble(&self) -> &[u8] {
        b""
    }
    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

/// As [`Driver`], with the nonce that RSA is masked with.
struct WithNonce<'a>(Driver<'a>, Vec<u8>);

impl Prover for WithNonce<'_> {
    fn pass(&self) -> &[u8] {
        self.0.pass()
    }
    fn is_ipc_transport(&self) -> bool {
        false
    }
    fn is_tls_transport(&self) -> bool {
        self.0.tls
    }
    fn scramble(&self) -> &[u8] {
        &self.1
    }
    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

/// What came of a login, and what the server said on the way: first bytes and lengths.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    end: String,
    shape: Vec<(u8, usize)>,
}

impl Driver<'_> {
    async fn connect(self, tcp: TcpStream) -> Outcome {
        let mut packets = PacketStream::new(Stream::Plain(tcp));
        let greeting = packets.read(1000).await.unwrap();
        let greeting = Greeting::parse(&greeting).unwrap();
        let mut capabilities = OFFERED.without(Capabilities::CONNECT_WITH_DB);
        if self.tls {
            capabilities = capabilities | Capabilities::SSL;
        }
        let head = SslRequest { capabilities, max_packet: 1 << 24, collation: 45 };
        if self.tls {
            packets.put_with(|out| head.encode(out));
            packets.flush().await.unwrap();
            let Parts { stream, input, output, sequence } = packets.into_parts();
            let Stream::Plain(tcp) = stream else { panic!() };
            let tls = BackTls { mode: BackTlsMode::Required, ca: None, identity: None };
            let tls = connector(&tls).unwrap();
            let stream = tls::connect(tls.connector().unwrap(), tcp, "x").await.unwrap();
            packets = PacketStream::from_parts(Parts { stream, input, output, sequence });
        }
        // As libmysqlclient: a proof only if the nonce is for the driver's plugin.
        let mut nonce = greeting.nonce.to_vec();
        let mut prover = AuthProc::init(&AuthPlugin::from_bytes(self.named.as_bytes())).ok();
        let fits = greeting.plugin == self.named.as_bytes();
        let first = match prover.as_mut().filter(|_| fits) {
            Some(prover) => prover.run(self, &nonce).unwrap().data().unwrap_or_default().to_vec(),
            None => Vec::new(),
        };
        packets.put_with(|out| {
            let response = HandshakeResponse {
                head,
                user: self.user.as_bytes(),
                auth_response: &first,
                database: None,
                plugin: Some(self.named.as_bytes()),
                attributes: b"\x03_os\x05Linux",
                zstd_level: None,
            };
            response.encode(out);
        });
        packets.flush().await.unwrap();
        let mut shape = Vec::new();
        loop {
            let Ok(packet) = packets.read(100_000).await else {
                return Outcome { end: "closed".into(), shape };
            };
            shape.push((packet[0], packet.len()));
            let answer = match packet[0] {
                0x00 => return Outcome { end: "OK".into(), shape },
                0xFF => {
                    let ErrPacket { code, sqlstate, message } = ErrPacket::parse(&packet).unwrap();
                    let (state, text) = (sqlstate.escape_ascii(), message.escape_ascii());
                    let end = format!("{code} {state} {text}").replace("\\'", "'");
                    return Outcome { end, shape };
                }
                0xFE => {
                    let switch = AuthSwitchRequest::parse(&packet).unwrap();
                    nonce = switch.nonce.to_vec();
                    prover = AuthProc::init(&AuthPlugin::from_bytes(switch.plugin)).ok();
                    prover.as_mut().unwrap().run(WithNonce(self, nonce.clone()), &nonce).unwrap()
                }
                0x01 => {
                    let context = WithNonce(self, nonce.clone());
                    prover.as_mut().unwrap().run(context, &packet[1..]).unwrap()
                }
                other => panic!("{other}"),
            };
            if let Some(data) = answer.data() {
                packets.put(data);
                packets.flush().await.unwrap();
            }
        }
    }
}

const NAMED: [&str; 8] = [
    "caching_sha2_password",
    "mysql_native_password",
    "mysql_clear_password",
    "sha256_password",
    "client_ed25519",
    "dialog",
    "authentication_ldap_sasl_client",
    "",
];

#[tokio::test]
async fn any_default_plugin_logs_in_at_the_first_attempt() {
    for greeted in [Plugin::CachingSha2, Plugin::Native] {
        let context = context(greeted, FrontTlsMode::Preferred);
        for named in NAMED {
            for tls in [false, true] {
                for (user, password, end) in [
                    ("app", "secret", "OK".to_owned()),
                    ("app", "previous", "OK".into()),
                    ("app", "wrong", denied("app", "YES")),
                    ("app", "", denied("app", "NO")),
                    ("nobody", "secret", denied("nobody", "YES")),
                    ("nobody", "", denied("nobody", "NO")),
                    ("free", "", "OK".into()),
                    ("free", "secret", denied("free", "YES")),
                ] {
                    let driver = Driver { user, password, named, tls };
                    let (greeted, outcome) = meet(&context, |tcp| driver.connect(tcp)).await;
                    assert_eq!(outcome.end, end, "{driver:?} {:?}", context.plugin);
                    assert_eq!(greeted.is_ok(), end == "OK");
                    if let Ok(greeted) = greeted {
                        assert_eq!(&*greeted.user.name, user);
                        assert_eq!(greeted.attributes, b"\x03_os\x05Linux");
                        assert_eq!((greeted.collation, greeted.database), (45, None));
                        assert_eq!(greeted.stream.is_tls(), tls);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_user_that_does_not_exist_looks_like_one_that_does() {
    for greeted in [Plugin::CachingSha2, Plugin::Native] {
        let context = context(greeted, FrontTlsMode::Preferred);
        for named in NAMED {
            for tls in [false, true] {
                let known = Driver { user: "app", password: "wrong", named, tls };
                let unknown = Driver { user: "ppa", ..known };
                let (_, known) = meet(&context, |tcp| known.connect(tcp)).await;
                let (_, unknown) = meet(&context, |tcp| unknown.connect(tcp)).await;
                assert_eq!(known.shape, unknown.shape, "{named}");
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_asked_for_in_full_and_a_right_one_is_not() {
    let context = context(Plugin::CachingSha2, FrontTlsMode::Preferred);
    let named = "caching_sha2_password";
    let right = Driver { user: "app", password: "secret", named, tls: false };
    let (_, outcome) = meet(&context, |tcp| right.connect(tcp)).await;
    assert_eq!(outcome.shape, [(1, 2), (0, 7)]);
    let wrong = Driver { password: "wrong", ..right };
    let (_, outcome) = meet(&context, |tcp| wrong.connect(tcp)).await;
    let kinds: Vec<u8> = outcome.shape.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [1, 1, 0xFF]);
    let (_, outcome) = meet(&context, |tcp| Driver { tls: true, ..wrong }.connect(tcp)).await;
    let kinds: Vec<u8> = outcome.shape.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [1, 0xFF]);
}

#[tokio::test]
async fn tls_is_required_of_those_who_need_it_once_they_have_proven_who_they_are() {
    let preferred = context(Plugin::CachingSha2, FrontTlsMode::Preferred);
    let required = context(Plugin::CachingSha2, FrontTlsMode::Required);
    let prohibited = "3159 HY000 Connections using insecure transport are prohibited while \
                      --require_secure_transport=ON.";
    let named = "caching_sha2_password";
    for (context, user, password, tls, end) in [
        (&preferred, "safe", "secret", true, "OK".to_owned()),
        (&preferred, "safe", "secret", false, denied("safe", "YES")),
        (&preferred, "far", "secret", true, denied("far", "YES")),
        (&required, "app", "secret", true, "OK".into()),
        (&required, "app", "secret", false, prohibited.into()),
        (&required, "app", "wrong", false, denied("app", "YES")),
    ] {
        let driver = Driver { user, password, named, tls };
        let (_, outcome) = meet(context, |tcp| driver.connect(tcp)).await;
        assert_eq!(outcome.end, end, "{driver:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_vouched_for_where_mariadbs_clients_ask_for_it() {
    let mut mariadb = context(Plugin::Native, FrontTlsMode::Preferred);
    mariadb.capabilities = OFFERED.without(Capabilities::LONG_PASSWORD);
    let mysql = context(Plugin::CachingSha2, FrontTlsMode::Preferred);
    let fingerprint = *mariadb.tls.as_ref().unwrap().fingerprint();
    let native = "mysql_native_password";
    for (context, user, password, named, tls, vouched) in [
        (&mariadb, "app", "secret", native, true, true),
        (&mariadb, "app", "previous", native, true, true),
        (&mariadb, "app", "secret", "caching_sha2_password", true, false),
        (&mariadb, "app", "secret", native, false, false),
        (&mariadb, "free", "", native, true, false),
        (&mysql, "app", "secret", native, true, false),
    ] {
        let driver = Driver { user, password, named, tls };
        let (greeted, _) = meet(context, |tcp| driver.connect(tcp)).await;
        let Greeted { server_proof, nonce, .. } = greeted.unwrap();
        let proof = crate::wire::auth::server_proof(password.as_bytes(), &nonce, &fingerprint);
        assert_eq!(server_proof, if vouched { proof } else { Vec::new() }, "{driver:?}");
    }
}

#[tokio::test]
async fn millpond_logs_in_to_millpond() {
    for plugin in [Plugin::CachingSha2, Plugin::Native] {
        for tls in [FrontTlsMode::Disabled, FrontTlsMode::Preferred, FrontTlsMode::Required] {
            let context = context(plugin, tls);
            for mode in [BackTlsMode::Disabled, BackTlsMode::Preferred, BackTlsMode::Required] {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let port = listener.local_addr().unwrap().port();
                drop(listener);
                let possible = !matches!(
                    (tls, mode),
                    (FrontTlsMode::Disabled, BackTlsMode::Required)
                        | (FrontTlsMode::Required, BackTlsMode::Disabled)
                );
                let request = LoginRequest {
                    user: "app".into(),
                    secret: Secret::new("secret"),
                    extra: Capabilities::LOCAL_FILES,
                    database: Some("shop".into()),
                    proxy_protocol: crate::config::ProxyProtocol::Off,
                };
                let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
                let server = async {
                    let (tcp, _) = listener.accept().await.unwrap();
                    let greeted = introduced(tcp, &context).await.ok()?;
                    let Greeted { mut stream, output, sequence, .. } = greeted;
                    let parts =
                        Parts { stream: &mut stream, input: BytesMut::new(), output, sequence };
                    let mut packets = PacketStream::from_parts(parts);
                    packets.put(&[0, 0, 0, 2, 0, 0, 0]);
                    packets.flush().await.unwrap();
                    Some((greeted.database, greeted.capabilities))
                };
                let endpoint = Endpoint { host: "127.0.0.1".into(), port, zone: None };
                let tls = connector(&BackTls { mode, ca: None, identity: None }).unwrap();
                let (greeted, login) = tokio::join!(server, login(&endpoint, None, &request, &tls));
                assert_eq!(login.is_ok(), possible, "{login:?}");
                if let Some((database, capabilities)) = greeted {
                    assert_eq!(database.as_deref(), Some(&b"shop"[..]));
                    assert_eq!(capabilities, login.unwrap().server.capabilities);
                }
            }
        }
    }
}
