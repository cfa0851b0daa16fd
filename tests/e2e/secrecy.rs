//! Known secrets are taken through every path that fails, at the log's finest level, and then looked
//! for in all that Millpond has said to anybody: in clear, in hexadecimal, in base64, as bytes, as
//! hashes, and as the proofs that were made of them.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY as SHA1, SHA256, digest};
use millpond::backend::login::LoginRequest;
use millpond::config::Secret;
use millpond::credentials::rotation::{Keyring, Pair};
use millpond::frontend::greet::Attempt;
use mysql_async::prelude::Queryable;
use serde_json::json;

use crate::support::accounts::APP;
use crate::support::certificates::Authority;
use crate::support::issuer::{Key, base64, key_set, now};
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::{Encrypted, Login, Plugin};
use crate::support::raw::packets::Packets;
use crate::support::server::Server;
use crate::support::servers;
use crate::support::web::{Page, Web};

/// Each could not be anything but itself.
const RIGHT: &str = "Right-kx7Wq2-password";
const STORED: &str = "Stored-m4Zt9c-password";
const WRONG: &str = "Wrong-p8Ls3d-password";
const PASSED: &str = "Passed-v5Jh1x-password";
const CONTROL: &str = "Control-r6Bn0y-token";
const BROKEN: &str = "Broken-t2Gf7u-password";
const NEXT: &str = "Next-w9Ck4e-password";

/// All that was said, and all that must not have been.
#[derive(Default)]
struct Said {
    texts: Vec<(String, String)>,
    secrets: BTreeSet<Vec<u8>>,
}

impl Said {
    fn add(&mut self, what: &str, text: impl Into<String>) {
        self.texts.push((what.to_owned(), text.into()));
    }

    /// Logs in, which may succeed or not, and remembers what was sent and what was said.
    async fn log_in(&mut self, port: u16, login: &Login) {
        match login.at(port).await {
            Ok(client) => client.quit().await,
            Err(error) => self.add("an error packet", error.to_string()),
        }
        // Short answers, such as the wish for a key, are no secrets.
        self.secrets.extend(login.proofs.lock().drain(..).filter(|proof| proof.len() >= 16));
    }

    fn look(&self) {
        for secret in &self.secrets {
            for form in forms(secret) {
                for (what, text) in &self.texts {
                    let found = text.find(&form).map(|at| {
                        let start = text[..at].rfind('\n').map_or(0, |line| line + 1);
                        text[start..].lines().next().unwrap_or_default().to_owned()
                    });
                    assert_eq!(found, None, "{what} has {form}");
                }
            }
        }
    }
}

/// How bytes may have been written.
fn forms(secret: &[u8]) -> Vec<String> {
    let secret = secret.strip_suffix(&[0]).unwrap_or(secret);
    let once = [digest(&SHA1, secret), digest(&SHA256, secret)];
    let twice = [digest(&SHA1, once[0].as_ref()), digest(&SHA256, once[1].as_ref())];
    let mut forms = Vec::new();
    for bytes in once.iter().chain(&twice).map(AsRef::as_ref).chain([secret]) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        forms.extend([hex.to_uppercase(), hex]);
        // The last group depends on what follows.
        let encoded = base64(bytes);
        let whole = &encoded[..encoded.len() / 4 * 4];
        forms.extend([whole.to_owned(), whole.replace('-', "+").replace('_', "/")]);
        forms.push(bytes.escape_ascii().to_string());
        forms.push(format!("{bytes:?}").trim_end_matches(']').to_owned());
    }
    forms.push(String::from_utf8_lossy(secret).into_owned());
    forms
}

fn reload(said: &mut Said, millpond: &Millpond) {
    let (_, answer) = tokio::task::block_in_place(|| millpond.order("/reload", &[]));
    said.add("the answer to a reload", answer);
    let bearer = format!("Authorization: Bearer {CONTROL}");
    let headers = [bearer.as_str()];
    let (_, answer) = tokio::task::block_in_place(|| millpond.order("/reload", &headers));
    said.add("the answer to a reload", answer);
}

/// Users: `keeper` from a file, `printed` from a program, `app` from the configuration and by token.
fn settings(folder: &std::path::Path, web: &Web, authority: &Authority) -> Settings {
    let secrets = folder.join("secrets.toml");
    fs::write(&secrets, format!("keeper = {STORED:?}\n")).unwrap();
    fs::write(folder.join("printed"), STORED).unwrap();
    let issuer = format!("http://127.0.0.1:{}", web.port);
    Settings {
        service: format!(
            "unknown_users = \"pass_through\"\ntls.client_ca = {:?}\n\
             login_limits = {{ failures_per_user = 0, failures_per_address = 0 }}\n",
            authority.certificate
        ),
        other: format!(
            "control_token = {CONTROL:?}\n[log]\nlevel = \"trace\"\n\
             [services.test.users.app.token]\nprovider = \"corp\"\nclaims = {{ sub = \"orders\" }}\n\
             [services.test.users.keeper]\nsecret = \"main:keeper\"\n\
             [services.test.users.refused]\npassword = {RIGHT:?}\n\
             [services.test.users.lambda]\npassword = {RIGHT:?}\n\
             token = {{ provider = \"aws\", arn = [\"arn:*\"] }}\n\
             [services.test.users.printed]\nsecret = \"command:printed\"\n\
             [secrets.main]\nkind = \"file\"\npath = {secrets:?}\nrefresh = \"1s\"\n\
             [secrets.command]\nkind = \"exec\"\nrefresh = \"1s\"\n\
             command = [\"sh\", \"-c\", \"cat {}\"]\n\
             [identity.corp]\nkind = \"jwt\"\nissuer = {issuer:?}\naudience = [\"millpond\"]\n\
             jwks_url = \"{issuer}/keys\"\n\
             [identity.aws]\nkind = \"aws_iam\"\nendpoint = {issuer:?}\n",
            folder.join("printed").display()
        ),
        ..Settings::with_pool_of(4)
    }
}

async fn log_in_everywhere(said: &mut Said, port: u16) {
    for plugin in [Plugin::CachingSha2, Plugin::Native, Plugin::Clear] {
        for encrypted in [Encrypted::No, Encrypted::Yes] {
            for (user, password) in [
                (APP.name, APP.password),
                (APP.name, WRONG),
                ("keeper", STORED),
                ("keeper", WRONG),
                ("printed", STORED),
                // The server does not know this one, or its password.
                ("refused", RIGHT),
                ("passed", PASSED),
                ("passed", WRONG),
                ("nobody", WRONG),
            ] {
                let (user, password) = (user.to_owned(), password.to_owned());
                let login = Login { user, password, plugin, encrypted, ..Login::of(&APP) };
                said.log_in(port, &login).await;
            }
        }
    }
    let mut client = Login::of(&APP).at(port).await.expect("to log in");
    let change = Login { user: "keeper".into(), password: WRONG.into(), ..Login::of(&APP) };
    let refused = change.change_user(&mut client).await.expect_err("a refusal");
    said.add("an error packet", refused.to_string());
}

/// Tokens of both kinds, each in its failing ways.
async fn come_with_tokens(said: &mut Said, port: u16, web: &Web) {
    let key = Key::new("one");
    let issuer = format!("http://127.0.0.1:{}", web.port);
    let token = |audience: &str, expires: u64| {
        key.sign(&json!({"iss": issuer, "aud": audience, "exp": expires, "sub": "orders"}))
    };
    let request = format!(
        "{issuer}/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=AKIASECRETKEYID&X-Amz-Date=20261126T161500Z&X-Amz-Expires=900\
         &X-Amz-Security-Token=Session-n3Vd8a-token&X-Amz-SignedHeaders=host\
         &X-Amz-Signature=5d41402abc4b2a76b9719d911017c592"
    );
    said.secrets
        .extend([&b"Session-n3Vd8a-token"[..], b"5d41402abc4b2a76b9719d911017c592"].map(Vec::from));
    let good = token("millpond", now() + 300);
    let signature = good.rsplit('.').next().unwrap().as_bytes().to_vec();
    said.secrets.insert(signature);
    for page in [Page::broken(500), Page::found(WRONG), Page::found(key_set(&[&key]))] {
        web.put("/keys", page);
        for (user, token) in [
            ("app", good.clone()),
            ("app", token("other", now() + 300)),
            ("app", token("millpond", now() - 300)),
            ("app", format!("{good}x")),
            ("lambda", request.clone()),
            ("lambda", request.replace("host", "x-other")),
        ] {
            for plugin in [Plugin::CachingSha2, Plugin::Clear] {
                let login = Login {
                    user: user.into(),
                    password: token.clone(),
                    plugin,
                    encrypted: Encrypted::Yes,
                    ..Login::of(&APP)
                };
                said.log_in(port, &login).await;
            }
        }
    }
}

/// Bytes that are no handshake, with a secret in them.
async fn break_the_protocol(said: &mut Said, port: u16, stranger: &Login) {
    for bytes in [
        [&[0xff; 32][..], WRONG.as_bytes()].concat(),
        [&[0x8d, 0xa6, 0x0f, 0x00, 0, 0, 0, 1, 45][..], &[0; 23], b"app\0\xfa", WRONG.as_bytes()]
            .concat(),
        WRONG.as_bytes().to_vec(),
    ] {
        let mut packets = Packets::connect(port, std::net::Ipv4Addr::LOCALHOST).await.unwrap();
        packets.receive().await.unwrap();
        packets.send(1, &bytes).await.unwrap();
        if let Ok((_, answer)) = packets.receive().await {
            said.add("an error packet", String::from_utf8_lossy(&answer));
        }
    }
    // TLS that ends in a refusal: a certificate by somebody whom nobody knows.
    said.log_in(port, stranger).await;
}

#[test]
fn no_secret_is_said_to_anybody() {
    servers::both_async(async |server| {
        prepare(server).await;
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) =
            (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "theirs"));
        let web = Web::start();
        let mut said = Said::default();
        let constants = [RIGHT, STORED, WRONG, PASSED, CONTROL, BROKEN, NEXT, APP.password];
        said.secrets.extend(constants.map(|secret| secret.as_bytes().to_vec()));
        let millpond = Millpond::start(server, &settings(folder.path(), &web, &ours));
        log_in_everywhere(&mut said, millpond.port).await;
        come_with_tokens(&mut said, millpond.port, &web).await;
        let identity = Some(theirs.sign("stranger", &[]));
        let stranger = Login { identity, encrypted: Encrypted::Yes, ..Login::of(&APP) };
        break_the_protocol(&mut said, millpond.port, &stranger).await;
        // Stores that break with a secret in their mouths.
        for text in
            [format!("keeper = \"{BROKEN}"), format!("keeper = [{BROKEN:?}]"), String::new()]
        {
            fs::write(folder.path().join("secrets.toml"), text).unwrap();
            fs::write(folder.path().join("printed"), format!("{{\"password\": [{BROKEN:?}]}}"))
                .unwrap();
            millpond.signal("HUP");
            let wrong = Login { user: "keeper".into(), password: WRONG.into(), ..Login::of(&APP) };
            said.log_in(millpond.port, &wrong).await;
            tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        }
        // Configurations that are wrong with a secret in them, and one that is right.
        for (from, to) in [
            (format!("password = {RIGHT:?}"), format!("pasword = {BROKEN:?}")),
            (format!("pasword = {BROKEN:?}"), format!("password = [{BROKEN:?}]")),
            (format!("password = [{BROKEN:?}]"), format!("password = \"{BROKEN}")),
            (format!("password = \"{BROKEN}"), format!("password = {NEXT:?}")),
        ] {
            millpond.edit(|text| text.replace(&from, &to));
            reload(&mut said, &millpond);
            let check = Command::new(env!("CARGO_BIN_EXE_millpond"))
                .args(["check", "--config"])
                .arg(millpond.config())
                .output()
                .unwrap();
            said.add("check", String::from_utf8_lossy(&check.stdout));
            said.add("check", String::from_utf8_lossy(&check.stderr));
        }
        let next = Login { user: "refused".into(), password: NEXT.into(), ..Login::of(&APP) };
        said.log_in(millpond.port, &next).await;
        for page in ["/", "/status", "/metrics", "/events", "/log", "/healthz", "/readyz", "/no"] {
            said.add(page, millpond.page(page));
        }
        millpond.signal("TERM");
        let (_, log) = millpond.wait(std::time::Duration::from_secs(60)).expect("its end");
        assert!(log.contains("DEBUG"), "the log is not fine: {log}");
        assert!(log.contains("a login was refused"), "{log}");
        said.add("the log", log);
        assert!(said.secrets.len() > 30 && said.texts.len() > 30);
        said.look();
    });
}

async fn prepare(server: &Server) {
    let mut admin = server.admin().await;
    for (user, password) in [("keeper", STORED), ("printed", STORED), ("passed", PASSED)] {
        for sql in [
            format!("CREATE USER IF NOT EXISTS '{user}'@'%' IDENTIFIED BY '{password}'"),
            format!("ALTER USER '{user}'@'%' IDENTIFIED BY '{password}'"),
            format!("GRANT ALL ON app.* TO '{user}'@'%'"),
        ] {
            admin.query_drop(sql).await.unwrap();
        }
    }
}

/// Whoever writes one of these types into a log writes nothing of the secret.
#[test]
fn what_holds_a_secret_does_not_show_it() {
    let secret = Secret::new(RIGHT);
    let pair = Pair { username: Some("app".into()), password: secret.clone() };
    let keyring = Keyring::fixed(secret.clone());
    let attempt =
        Attempt { user: b"app", plugin: Some(b"mysql_clear_password"), proof: RIGHT.as_bytes() };
    let request = LoginRequest {
        user: "app".into(),
        secret: secret.clone(),
        extra: Default::default(),
        proxy_protocol: millpond::config::ProxyProtocol::Off,
        database: None,
    };
    let known = keyring.known();
    let shown: [(&str, &dyn std::fmt::Debug); 6] = [
        ("Secret", &secret),
        ("Pair", &pair),
        ("Keyring", &keyring),
        ("Known", &known),
        ("Attempt", &attempt),
        ("LoginRequest", &request),
    ];
    let mut said = Said::default();
    said.secrets.insert(RIGHT.as_bytes().to_vec());
    for (name, value) in shown {
        said.add(name, format!("{value:?} {value:#?}"));
    }
    said.look();
}
