//! The handshake against clients: mysql_common's proofs in every combination that drivers have, and
//! packets that no driver sends.

mod change;
mod drivers;
mod hostile;

use super::*;
use crate::backend::server::HostNames;
use crate::config::secret::Secret;
use crate::config::{FrontTls, FrontTlsMode, LoginLimits};
use crate::credentials::rotation::Keyring;
use crate::runtime::Workers;
use crate::wire::auth::Plugin;
use crate::wire::capability::Status;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

const HOST: &str = "10.0.0.9";

fn peer() -> Arc<Peer> {
    Peer::new(HOST.parse().unwrap(), HostNames::default())
}

const VERSION: &str = "9.7.4";

/// Users: `app` with two passwords, `safe` who may only come by TLS, `far` who may not come
/// from here, `free` without a password.
fn context(plugin: Plugin, tls: FrontTlsMode) -> GreetContext {
    let user = |name: &str, secret: &str| User {
        name: name.into(),
        keyring: Arc::new(Keyring::fixed(Secret::new(secret))),
        backing: None,
        tls_only: false,
        allow_from: [].into(),
        database_user: None,
        certificate: None,
        token: None,
        treatment: None,
    };
    let changed = Keyring::changed(Secret::new("previous"), Secret::new("secret"));
    let app = User { keyring: Arc::new(changed), ..user("app", "secret") };
    let safe = User { tls_only: true, ..user("safe", "secret") };
    let far =
        User { allow_from: ["192.0.2.0/24".parse().unwrap()].into(), ..user("far", "secret") };
    let users = [app, safe, far, user("free", "")];
    let front = FrontTls { mode: tls, identity: None, client_ca: None };
    GreetContext {
        version: VERSION.into(),
        plugin,
        capabilities: OFFERED,
        collation: 255,
        status: Status::AUTOCOMMIT,
        tls: tls::acceptor(&front).unwrap(),
        require_tls: tls == FrontTlsMode::Required,
        users: Arc::new(users.map(|user| (user.name.to_string(), user)).into()),
        guests: None,
        lasting: Lasting::new(Workers::start("logins", 1).unwrap()),
        login_limits: LoginLimits { per_address: None, per_user: None, ..Default::default() },
    }
}

/// Greets a client and hears who it is.
async fn introduced(tcp: TcpStream, context: &GreetContext) -> Result<Greeted, GreetError> {
    let mut meeting = greet(Stream::Plain(tcp), Arc::new(context.clone()), 7).await?;
    meeting.answering().await?;
    meeting.introduced(peer()).await
}

/// Greets one client; where it is let in, it gets the OK.
async fn meet<T>(
    context: &GreetContext,
    client: impl AsyncFnOnce(TcpStream) -> T,
) -> (Result<Greeted, GreetError>, T) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut greeted = introduced(tcp, context).await?;
        let Greeted { stream, output, sequence, .. } = &mut greeted;
        let output = std::mem::take(output);
        let parts = Parts { stream, input: BytesMut::new(), output, sequence: *sequence };
        let mut packets = PacketStream::from_parts(parts);
        packets.put(&[0, 0, 0, 2, 0, 0, 0]);
        packets.flush().await?;
        packets.into_parts().stream.shutdown().await?;
        Ok(greeted)
    };
    let client = async { client(TcpStream::connect(address).await.unwrap()).await };
    tokio::join!(server, client)
}

fn denied(user: &str, used: &str) -> String {
    format!("1045 28000 Access denied for user '{user}'@'{HOST}' (using password: {used})")
}
