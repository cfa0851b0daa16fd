use super::super::service::{Asked, Reply, Service, configured, fails_well, fetch, gives_up, ok};
use super::*;
use crate::config::{Secret, StoreConfig};

const TOKEN: &str = r#"{"access_token": "token-1", "expires_in": "3599", "token_type": "Bearer"}"#;
const TENANT: &str = "tenant_id = \"t-1\"\nclient_id = \"c 1\"\n";

fn store(service: &Service, more: &str, environment: &[(&str, &str)]) -> AzureStore {
    let section = format!("kind = \"azure\"\naddress = \"http://{}\"\n{more}", service.address);
    let StoreConfig::Azure(config) = configured(&section) else { panic!("{section}") };
    let here = format!("http://{}", service.address);
    let own = ["AZURE_POD_IDENTITY_AUTHORITY_HOST", "AZURE_AUTHORITY_HOST"];
    let own = own.map(|name| (name.into(), here.clone().into()));
    let given = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    AzureStore::new(&config, Environment::new(own.into_iter().chain(given).collect()))
}

/// As the documentation has it: who has a token gets what is there.
fn documented(asked: &Asked) -> Reply {
    let imds = "GET /metadata/identity/oauth2/token?api-version=2018-02-01\
                &resource=https%3A%2F%2Fvault.azure.net";
    if asked.line == imds && asked.header("metadata") == "true" {
        return ok(TOKEN);
    }
    if asked.header("authorization") != "Bearer token-1" {
        return Reply::Status(401, "{\"error\": {\"code\": \"Unauthorized\"}}".into());
    }
    let bundle = |value: &str| {
        let value = serde_json::Value::from(value);
        ok(format!(
            "{{\"value\": {value}, \"id\": \"https://v/secrets/app/0123\", \
             \"attributes\": {{\"enabled\": true, \"created\": 1700000000}}}}"
        ))
    };
    match asked.line.as_str() {
        "GET /secrets/app?api-version=7.4" => {
            bundle(r#"{"username": "app_rw", "password": "hunter2"}"#)
        }
        "GET /secrets/app/0122?api-version=7.4" => bundle("hunter3"),
        "GET /secrets/empty?api-version=7.4" => bundle(""),
        "GET /secrets/json?api-version=7.4" => bundle(r#"{"key": "hunter2"}"#),
        "GET /secrets/foreign?api-version=7.4" => {
            Reply::Status(403, "{\"error\": {\"code\": \"Forbidden\"}}".into())
        }
        _ => Reply::Status(404, "{\"error\": {\"code\": \"SecretNotFound\"}}".into()),
    }
}

#[tokio::test]
async fn secrets_are_read_as_the_machine() {
    let service = Service::new(documented);
    let store = store(&service, "", &[]);
    let secret = fetch(&store, "app").await.unwrap();
    assert_eq!(
        (secret.username.as_deref(), secret.password),
        (Some("app_rw"), Secret::new("hunter2"))
    );
    assert_eq!(secret.version.to_string(), "0123");
    assert!(secret.age.unwrap().as_secs() > 60_000_000, "{:?}", secret.age);
    assert_eq!(fetch(&store, "app/0122").await.unwrap().password, Secret::new("hunter3"));
    assert_eq!(service.asked().len(), 3, "one token for both");
    for (key, expected) in [
        ("none", "there is no secret \"none\" in the vault at http://127.0.0.1"),
        ("a?b", "there is no secret"),
        ("foreign", "does not allow Millpond to read \"foreign\" (403)"),
        ("empty", "the password of \"empty\" is empty"),
        ("json", "expected a password, or JSON with `password`"),
    ] {
        let error = fetch(&store, key).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{key}: {error}");
        assert!(error.is_definite(), "{key}");
        assert!(!format!("{error} {error:?} {store:?}").contains("hunter"), "{error:?}");
    }
}

#[tokio::test]
async fn each_way_to_a_token_is_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proof");
    std::fs::write(&file, "jwt-1\n").unwrap();
    let grant = "grant_type=client_credentials&client_id=c%201\
                 &scope=https%3A%2F%2Fvault.azure.net%2F.default";
    let secret_file = format!("auth = \"client_secret\"\n{TENANT}client_secret_file = {file:?}");
    let assertion = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3A\
                     jwt-bearer&client_assertion=jwt-1";
    let federated = [
        ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
        ("AZURE_TENANT_ID", "t-1"),
        ("AZURE_CLIENT_ID", "c 1"),
    ];
    let (token, here) = ("POST /t-1/oauth2/v2.0/token", "client_secret = \"hun&ter2\"");
    for (section, environment, line, body) in [
        (
            format!("auth = \"client_secret\"\n{TENANT}{here}"),
            &[][..],
            token,
            format!("{grant}&client_secret=hun%26ter2"),
        ),
        (secret_file, &[], token, format!("{grant}&client_secret=jwt-1")),
        (
            "auth = \"workload_identity\"".to_owned(),
            &federated,
            token,
            format!("{grant}&{assertion}"),
        ),
        (
            "auth = \"managed_identity\"\nclient_id = \"c 1\"".to_owned(),
            &[],
            "GET /metadata/identity/oauth2/token?api-version=2018-02-01\
             &resource=https%3A%2F%2Fvault.azure.net&client_id=c%201",
            String::new(),
        ),
    ] {
        let expected = (line.to_owned(), body);
        let service = Service::new(move |asked: &Asked| {
            match (&asked.line, &asked.body) == (&expected.0, &expected.1) {
                true => ok(TOKEN),
                false => documented(asked),
            }
        });
        let secret = fetch(&store(&service, &section, environment), "app").await;
        assert!(secret.is_ok(), "{section}: {secret:?}: {:?}", service.asked());
    }
    let app = Service::new(|asked: &Asked| match asked.header("x-identity-header") {
        "code" => ok(r#"{"access_token": "token-1", "expires_on": "99999999999"}"#),
        _ => documented(asked),
    });
    let endpoint = format!("http://{}/msi", app.address);
    let environment = [("IDENTITY_ENDPOINT", &*endpoint), ("IDENTITY_HEADER", "code")];
    fetch(&store(&app, "", &environment), "app").await.unwrap();
    let lacking =
        fetch(&store(&app, "auth = \"workload_identity\"", &[]), "app").await.unwrap_err();
    let said = lacking.to_string();
    assert!(said.contains("there is no tenant_id (AZURE_TENANT_ID)"), "{said}");
}

#[tokio::test]
async fn a_token_that_has_ended_is_followed_by_another() {
    let service = Service::new(documented);
    let store = store(&service, "", &[]);
    fetch(&store, "app").await.unwrap();
    service.answers(|asked| match asked.header("authorization") {
        "" => ok(TOKEN.replace("token-1", "token-2")),
        "Bearer token-2" => ok(r#"{"value": "hunter2"}"#),
        _ => Reply::Status(401, String::new()),
    });
    assert_eq!(fetch(&store, "app").await.unwrap().password, Secret::new("hunter2"));
}

#[tokio::test]
async fn a_service_that_fails_is_told_from_one_without_the_secret() {
    let service = Service::new(documented);
    let store = store(&service, "", &[]);
    fetch(&store, "app").await.unwrap();
    fails_well(&store, &service, "app").await;
    gives_up(&store, &service, "app").await;
    service.answers(documented);
    fetch(&store, "app").await.unwrap();
}
