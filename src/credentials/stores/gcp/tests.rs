use super::super::service::{Asked, Reply, Service, configured, fails_well, fetch, gives_up, ok};
use super::*;
use crate::config::{Secret, StoreConfig};

const TOKEN: &str = r#"{"access_token": "token-1", "expires_in": 3599, "token_type": "Bearer"}"#;

fn store(service: &Service, more: &str) -> GcpStore {
    let section = format!(
        "kind = \"gcp\"\nproject = \"shop\"\nendpoint = \"http://{}\"\n{more}",
        service.address
    );
    let StoreConfig::Gcp(config) = configured(&section) else { panic!("{section}") };
    let environment = vec![("GCE_METADATA_HOST".into(), service.address.clone().into())];
    GcpStore::new(&config, &Environment::new(environment))
}

fn version(text: &str, sum: Option<u32>) -> String {
    let sum = sum.map(|sum| format!(", \"dataCrc32c\": \"{sum}\"")).unwrap_or_default();
    let data = STANDARD.encode(text);
    format!(
        "{{\"name\": \"projects/1/secrets/app/versions/7\", \"payload\": {{\"data\": \"{data}\"{sum}}}}}"
    )
}

/// As the documentation has it: who has a token gets what is there.
fn documented(asked: &Asked) -> Reply {
    let path = "GET /computeMetadata/v1/instance/service-accounts/default/token";
    if asked.line == path && asked.header("metadata-flavor") == "Google" {
        return ok(TOKEN);
    }
    if asked.header("authorization") != "Bearer token-1" {
        return Reply::Status(401, "{\"error\": {\"status\": \"UNAUTHENTICATED\"}}".into());
    }
    let json = r#"{"username": "app_rw", "password": "hunter2"}"#;
    match asked.line.as_str() {
        "GET /v1/projects/shop/secrets/app/versions/latest:access" => {
            ok(version(json, Some(crc32c(json.as_bytes()))))
        }
        "GET /v1/projects/other/secrets/app/versions/3:access" => ok(version("hunter3\n", None)),
        "GET /v1/projects/shop/secrets/damaged/versions/latest:access" => {
            ok(version("hunter2", Some(1)))
        }
        "GET /v1/projects/shop/secrets/empty/versions/latest:access" => ok(version("", Some(0))),
        "GET /v1/projects/shop/secrets/foreign/versions/latest:access" => {
            Reply::Status(403, "{\"error\": {\"status\": \"PERMISSION_DENIED\"}}".into())
        }
        "GET /v1/projects/shop/secrets/json/versions/latest:access" => {
            ok(version("{\"key\": \"hunter2\"}", None))
        }
        _ => Reply::Status(404, "{\"error\": {\"status\": \"NOT_FOUND\"}}".into()),
    }
}

#[test]
fn the_checksum_is_castagnolis() {
    assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    assert_eq!(crc32c(b""), 0);
}

#[tokio::test]
async fn secrets_are_read_as_the_machine() {
    let service = Service::new(documented);
    let store = store(&service, "");
    let secret = fetch(&store, "app").await.unwrap();
    assert_eq!(
        (secret.username.as_deref(), secret.password),
        (Some("app_rw"), Secret::new("hunter2"))
    );
    assert_eq!(secret.version.to_string(), "7");
    let other = fetch(&store, "projects/other/secrets/app/versions/3").await.unwrap();
    assert_eq!(other.password, Secret::new("hunter3"));
    let asked = service.asked();
    assert_eq!(asked.len(), 3, "one token for both: {asked:?}");
    for (key, expected, definite) in [
        ("none", "there is no secret \"none\" in Google Secret Manager", true),
        ("../none", "there is no secret", true),
        ("foreign", "does not allow Millpond to read \"foreign\" (403)", true),
        ("empty", "the password of \"empty\" is empty", true),
        ("json", "expected a password, or JSON with `password`", true),
        ("damaged", "a payload with its checksum", false),
    ] {
        let error = fetch(&store, key).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{key}: {error}");
        assert_eq!(error.is_definite(), definite, "{key}");
        assert!(!format!("{error} {error:?} {store:?}").contains("hunter"), "{error:?}");
    }
}

#[tokio::test]
async fn a_token_that_has_ended_is_followed_by_another() {
    let service = Service::new(documented);
    let store = store(&service, "");
    fetch(&store, "app").await.unwrap();
    service.answers(|asked| match asked.header("authorization") {
        "" => ok(TOKEN.replace("token-1", "token-2")),
        "Bearer token-2" => ok(version("hunter2", None)),
        _ => Reply::Status(401, String::new()),
    });
    assert_eq!(fetch(&store, "app").await.unwrap().password, Secret::new("hunter2"));
    service.answers(|_| Reply::Status(401, "hunter2".into()));
    let error = fetch(&store, "app").await.unwrap_err();
    assert!(matches!(error, StoreError::Login { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
}

#[tokio::test]
async fn a_service_that_fails_is_told_from_one_without_the_secret() {
    let service = Service::new(documented);
    let store = store(&service, "");
    fetch(&store, "app").await.unwrap();
    fails_well(&store, &service, "app").await;
    gives_up(&store, &service, "app").await;
    service.answers(documented);
    fetch(&store, "app").await.unwrap();
}

#[tokio::test]
async fn a_service_account_signs_for_its_token() {
    let key = KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
        aws_lc_rs::encoding::AsDer::as_der(&key).unwrap();
    let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    let service = Service::new(move |asked: &Asked| {
        if asked.line != "POST /token" {
            return documented(asked);
        }
        let (grant, jwt) = asked.body.split_once("&assertion=").unwrap();
        assert_eq!(grant, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = aws_lc_rs::signature::KeyPair::public_key(&key).as_ref();
        let public = aws_lc_rs::signature::UnparsedPublicKey::new(
            &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256,
            public,
        );
        public.verify(signed.as_bytes(), &signature).unwrap();
        let (head, claim) = signed.split_once('.').unwrap();
        let [head, claim] = [head, claim].map(|part| -> serde_json::Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        });
        assert_eq!((&head["alg"], &head["kid"]), (&"RS256".into(), &"k1".into()));
        assert_eq!((&claim["iss"], &claim["scope"]), (&"m@shop".into(), &SCOPE.into()));
        assert_eq!(claim["exp"].as_u64().unwrap() - claim["iat"].as_u64().unwrap(), 3_600);
        ok(TOKEN)
    });
    let account = serde_json::json!({
        "type": "service_account", "client_email": "m@shop", "private_key": pem,
        "private_key_id": "k1", "token_uri": format!("http://{}/token", service.address),
    });
    std::fs::write(&path, account.to_string()).unwrap();
    let signing = store(&service, &format!("key_file = {path:?}"));
    assert_eq!(fetch(&signing, "app").await.unwrap().password, Secret::new("hunter2"));
    for broken in
        ["hunter2", r#"{"client_email": "a", "private_key": "hunter2", "token_uri": "b"}"#]
    {
        std::fs::write(&path, broken).unwrap();
        let error =
            fetch(&store(&service, &format!("key_file = {path:?}")), "app").await.unwrap_err();
        assert!(matches!(error, StoreError::Login { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    }
}
