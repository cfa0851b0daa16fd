//! Clients that come with a token in place of a password.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::accounts::{APP, OTHER};
use crate::support::issuer::{Key, base64, key_set, now};
use crate::support::leash::Leashed;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::{Encrypted, Login, Plugin};
use crate::support::web::{Page, Web};
use crate::support::{ports, servers, testbed};

const LIMITS: &str = "login_limits = { failures_per_user = 0, failures_per_address = 0 }\n";

/// What a login with this in place of the password is told: `None` when it succeeds.
async fn told(millpond: &Millpond, plugin: Plugin, token: &str) -> Option<String> {
    let login =
        Login { plugin, password: token.into(), encrypted: Encrypted::Yes, ..Login::of(&APP) };
    match login.at(millpond.port).await {
        Ok(mut client) => {
            client.query("SELECT 1").await.expect("a reply").must("SELECT 1");
            client.quit().await;
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

async fn is_denied(millpond: &Millpond, token: &str, why: &str) {
    let before = millpond.log().len();
    let told = told(millpond, Plugin::Clear, token).await.expect("a refusal");
    let expected = "1045: Access denied for user 'app'@'localhost' (using password: YES)";
    assert_eq!(told, expected, "{why}");
    let log = millpond.log();
    assert!(log[before..].contains(why), "{why} in\n{}", &log[before..]);
    assert!(!log.contains(token), "the token is in the log");
}

#[test]
fn a_signed_token_is_as_good_as_a_password() {
    servers::one_async(async |server| {
        let web = Web::start();
        let issuer = format!("http://127.0.0.1:{}", web.port);
        let discovery = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") });
        let found = "/.well-known/openid-configuration";
        let settings = Settings {
            service: LIMITS.into(),
            other: format!(
                "[services.test.users.app.token]\nprovider = \"corp\"\n\
                 claims = {{ sub = \"shop:*\", groups = \"writers\" }}\n\
                 [identity.corp]\nkind = \"jwt\"\nissuer = \"{issuer}\"\naudience = [\"millpond\"]\n\
                 jwks_url = \"{issuer}/keys\"\nleeway = \"1s\"\n"
            ),
            ..Settings::with_pool_of(4)
        };
        let millpond = Millpond::start(server, &settings);
        let claims = |change: Value| {
            let mut all = json!({"iss": issuer, "aud": "millpond", "exp": now() + 300,
                "sub": "shop:orders", "groups": ["readers", "writers"]});
            for (name, value) in change.as_object().expect("claims") {
                all[name] = value.clone();
            }
            all
        };
        let (one, two) = (Key::new("one"), Key::new("two"));
        let token = one.sign(&claims(json!({})));
        // The issuer is away, then broken, then slow: nobody is let in, and nobody waits for long.
        for (page, why) in [
            (Page::broken(500), "status 500"),
            (Page::found("nonsense"), "it is not the JSON that it has to be"),
        ] {
            web.put("/keys", page);
            is_denied(&millpond, &token, why).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        web.put("/keys", Page { delay: Duration::from_secs(60), ..Page::found("") });
        is_denied(&millpond, &token, "it has not answered in time").await;
        is_denied(&millpond, &token, "its keys could not be had a moment ago").await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        web.put("/keys", Page::found(key_set(&[&one])));
        for plugin in [Plugin::CachingSha2, Plugin::Native, Plugin::Clear] {
            assert_eq!(told(&millpond, plugin, &token).await, None, "{plugin:?}");
            assert_eq!(told(&millpond, plugin, APP.password).await, None, "{plugin:?}");
            assert!(told(&millpond, plugin, "wrong").await.unwrap().starts_with("1045"));
        }
        for (wrong, why) in [
            (json!({"aud": "other"}), "InvalidAudience"),
            (json!({"exp": now() - 10}), "ExpiredSignature"),
            (json!({"nbf": now() + 60}), "ImmatureSignature"),
            (json!({"iss": "https://evil.example"}), "InvalidIssuer"),
            (json!({"sub": "other:orders"}), "its claim `sub` is"),
            (json!({"groups": ["readers"]}), "its claim `groups` is"),
        ] {
            is_denied(&millpond, &one.sign(&claims(wrong)), why).await;
        }
        is_denied(&millpond, &two.sign(&claims(json!({}))), "no key of its issuer").await;
        let (head, _) = token.rsplit_once('.').unwrap();
        is_denied(&millpond, &format!("{head}.AAAA"), "InvalidSignature").await;
        let none = base64(br#"{"alg":"none","typ":"JWT"}"#);
        is_denied(&millpond, &format!("{none}.{}.", base64(b"{}")), "its header").await;
        let shared = base64(br#"{"alg":"HS256","kid":"one"}"#);
        is_denied(&millpond, &format!("{shared}.e30.AAAA"), "HS256 is not among").await;
        let huge = one.sign(&claims(json!({"x": "x".repeat(20_000)})));
        is_denied(&millpond, &huge, "it is too long").await;

        // Another key: fetched when the first token by it comes.
        tokio::time::sleep(Duration::from_secs(5)).await;
        web.put("/keys", Page::found(key_set(&[&two])));
        let token = two.sign(&claims(json!({})));
        assert_eq!(told(&millpond, Plugin::CachingSha2, &token).await, None);
        // Found by the issuer's own document after a reload.
        web.put(found, Page::found(discovery.to_string()));
        millpond.edit(|text| text.replace(&format!("jwks_url = \"{issuer}/keys\"\n"), ""));
        let (status, answer) = tokio::task::block_in_place(|| millpond.order("/reload", &[]));
        assert_eq!(status, 200, "{answer}");
        assert_eq!(told(&millpond, Plugin::CachingSha2, &token).await, None);
        assert!(web.asked().iter().any(|asked| asked.contains(found)));
        // Not as anybody else.
        let other = Login {
            password: token,
            plugin: Plugin::Clear,
            encrypted: Encrypted::Yes,
            ..Login::of(&OTHER)
        };
        assert!(other.at(millpond.port).await.is_err());
        let metrics = millpond.page("/metrics");
        let accepted = "millpond_tokens_total{provider=\"corp\",verdict=\"accepted\"} 5";
        assert!(metrics.contains(accepted), "{metrics}");
    });
}

/// A request as a client's library makes it, but for the signature.
fn request(port: u16, age: u64, change: impl FnOnce(String) -> String) -> String {
    let date = date(now() - age);
    change(format!(
        "http://127.0.0.1:{port}/?Action=GetCallerIdentity&Version=2011-06-15\
         &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAEXAMPLE%2F{}%2Feu-west-1%2Fsts%2F\
         aws4_request&X-Amz-Date={date}&X-Amz-Expires=900\
         &X-Amz-SignedHeaders=host%3Bx-millpond-audience&X-Amz-Signature=0123456789abcdef",
        &date[..8]
    ))
}

/// `20261126T161500Z`
fn date(seconds: u64) -> String {
    let output = Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%Y%m%dT%H%M%SZ"])
        .output()
        .expect("the program date");
    String::from_utf8(output.stdout).expect("a date").trim().to_owned()
}

#[test]
fn who_is_known_to_aws_needs_no_password() {
    servers::one_async(async |server| {
        let web = Web::start();
        let settings = Settings {
            service: LIMITS.into(),
            other: format!(
                "[services.test.users.app.token]\nprovider = \"aws\"\n\
                 arn = [\"arn:aws:sts::1:assumed-role/orders-*/*\"]\n\
                 [identity.aws]\nkind = \"aws_iam\"\nendpoint = \"http://127.0.0.1:{}\"\n\
                 audience = [\"orders.test\"]\n",
                web.port
            ),
            ..Settings::with_pool_of(4)
        };
        let millpond = Millpond::start(server, &settings);
        let arn = |arn: &str| {
            Page::found(
                json!({"GetCallerIdentityResponse": {"GetCallerIdentityResult": {"Arn": arn}}})
                    .to_string(),
            )
        };
        let same = |text: String| text;
        let good = request(web.port, 0, same);
        for (page, why) in [
            (Page::broken(500), "status 500"),
            (Page::broken(403), "AWS says 403"),
            (Page::found("nonsense"), "no ARN in it"),
            (Page::found(vec![b'x'; 100_000]), "more than 16384 bytes"),
            (Page { delay: Duration::from_secs(30), ..arn("") }, "it has not answered in time"),
            (arn("arn:aws:sts::2:assumed-role/orders-a/i-1"), "it is arn:aws:sts::2:"),
        ] {
            web.put("/", page);
            is_denied(&millpond, &good, why).await;
        }
        web.put("/", arn("arn:aws:sts::1:assumed-role/orders-a/i-1"));
        for (token, why) in [
            (request(web.port, 901, same), "it has expired"),
            (request(web.port + 1, 0, same), "not for the service of `endpoint`"),
            (good.replace("GetCallerIdentity", "GetSessionToken"), "its Action"),
            (good.replace("%3Bx-millpond-audience", ""), "its signed headers"),
            (format!("{good}&Marker=1"), "a parameter that it must not have"),
        ] {
            is_denied(&millpond, &token, why).await;
        }
        // The refused answer above is remembered: it says who this is.
        let fresh = good.replace("0123456789abcdef", "fedcba9876543210");
        let before = web.asked().len();
        for plugin in [Plugin::CachingSha2, Plugin::Native, Plugin::Clear] {
            assert_eq!(told(&millpond, plugin, &fresh).await, None, "{plugin:?}");
        }
        assert_eq!(web.asked().len(), before + 1, "AWS is asked once");
        let asked = web.asked().pop().unwrap();
        assert!(asked.contains("x-millpond-audience: orders.test\r\n"), "{asked}");
        assert!(asked.contains("accept: application/json\r\n"), "{asked}");
        // As clusters send it.
        let token = format!("k8s-aws-v1.{}", base64(fresh.as_bytes()));
        assert_eq!(told(&millpond, Plugin::CachingSha2, &token).await, None);
    });
}

/// A token by AWS' own library, believed by what plays AWS' own service.
#[test]
fn a_role_of_aws_is_known_by_the_service_itself() {
    servers::one_async(async |server| {
        let python = testbed::folder().join("stores/bin/python");
        if !python.is_file() {
            return testbed::skip("moto", "run tests/testbed/install");
        }
        let script = testbed::repository("tests/support/sts.py");
        let port = ports::free();
        let mut serve = Command::new(&python);
        serve.arg(&script).args(["serve", &port.to_string()]);
        let folder = tempfile::tempdir().unwrap();
        let service = Leashed::start(&serve, folder, "sts.log");
        let patience = Instant::now() + Duration::from_secs(60);
        let sign = || {
            let port = port.to_string();
            let args = ["token", &port, "orders.test"];
            let output = Command::new(&python).arg(&script).args(args).output().unwrap();
            let token = String::from_utf8(output.stdout).unwrap();
            output.status.success().then(|| token.trim().to_owned())
        };
        let token = loop {
            match sign() {
                Some(token) => break token,
                None => assert!(Instant::now() < patience, "{}", service.log()),
            }
        };
        let with = |role: &str| Settings {
            service: LIMITS.into(),
            other: format!(
                "[services.test.users.app.token]\nprovider = \"aws\"\n\
                 arn = [\"arn:aws:sts::123456789012:assumed-role/{role}/*\"]\n\
                 [identity.aws]\nkind = \"aws_iam\"\nendpoint = \"http://127.0.0.1:{port}\"\n\
                 audience = [\"orders.test\"]\n"
            ),
            ..Settings::with_pool_of(2)
        };
        let millpond = Millpond::start(server, &with("orders-*"));
        assert_eq!(told(&millpond, Plugin::CachingSha2, &token).await, None);
        let others = Millpond::start(server, &with("reports-*"));
        is_denied(
            &others,
            &token,
            "it is arn:aws:sts::123456789012:assumed-role/orders-lambda/i-1",
        )
        .await;
    });
}
