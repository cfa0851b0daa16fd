//! Against a service that answers as AWS does, for what goes wrong; `tests/e2e/aws.rs` asks moto.
#![cfg(all(feature = "aws-secrets-manager", feature = "aws-parameter-store"))]

use super::super::service::{Asked, Reply, Service, configured, fails_well, fetch, gives_up, ok};
use super::super::web::Environment;
use super::super::{Occasion, SecretStore};
use super::*;
use crate::config::{Secret, StoreConfig};

fn session(service: &Service) -> Session {
    let endpoint = format!("http://{}", service.address).parse().ok();
    let keys = Credentials::new("AKIDEXAMPLE", "hunter9", Some("hunter8".into()), None, "test");
    Session { keys: Some(keys), ..Session::new(Some("eu-west-1".into()), None, endpoint, None) }
}

fn version(id: &str, text: &str) -> Reply {
    let text = serde_json::Value::from(text);
    ok(format!(
        "{{\"Name\": \"app\", \"VersionId\": \"{id}\", \"SecretString\": {text}, \
         \"CreatedDate\": 1700000000.5}}"
    ))
}

fn missing() -> Reply {
    Reply::Status(400, "{\"__type\": \"ResourceNotFoundException\", \"Message\": \"no\"}".into())
}

/// A rotation half-way: the server has the next one already.
fn rotating(asked: &Asked) -> Reply {
    let signed = asked.header("authorization").contains("/eu-west-1/secretsmanager/aws4_request");
    let session = asked.header("x-amz-security-token") == "hunter8";
    let target = asked.header("x-amz-target") == "secretsmanager.GetSecretValue";
    if !(signed && session && target && asked.line == "POST /") {
        return Reply::Status(400, "{\"__type\": \"IncompleteSignature\"}".into());
    }
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    match (body["SecretId"].as_str().unwrap(), body["VersionStage"].as_str().unwrap()) {
        ("app", "AWSCURRENT") => {
            version("v-2", r#"{"username": "u", "password": "hunter2", "engine": "mysql"}"#)
        }
        ("app", "AWSPREVIOUS") => version("v-1", r#"{"username": "u", "password": "hunter1"}"#),
        ("app", "AWSPENDING") => version("v-3", r#"{"username": "u", "password": "hunter3"}"#),
        ("new", "AWSCURRENT") => version("v-1", "hunter4"),
        ("empty", "AWSCURRENT") => version("v-1", r#"{"password": ""}"#),
        ("json", "AWSCURRENT") => version("v-1", r#"{"key": "hunter5"}"#),
        ("foreign", _) => Reply::Status(400, "{\"__type\": \"AccessDeniedException\"}".into()),
        ("throttled", _) => Reply::Status(400, "{\"__type\": \"ThrottlingException\"}".into()),
        _ => missing(),
    }
}

fn stages(service: &Service) -> Vec<String> {
    let stage = |asked: Asked| -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&asked.body).ok()?;
        Some(body["VersionStage"].as_str()?.to_owned())
    };
    service.asked().into_iter().filter_map(stage).collect()
}

#[tokio::test]
async fn the_stages_of_a_rotation_are_told_apart() {
    let service = Service::new(rotating);
    let store = AwsSecretsManager::over(session(&service));
    let secret = fetch(&store, "app").await.unwrap();
    assert_eq!(
        (secret.username.as_deref(), &secret.password),
        (Some("u"), &Secret::new("hunter2"))
    );
    assert_eq!(secret.previous.map(|pair| pair.password), Some(Secret::new("hunter1")));
    assert_eq!((secret.pending, secret.version.to_string()), (None, "v-2".into()));
    assert!(secret.age.unwrap().as_secs() > 60_000_000);
    assert_eq!(stages(&service), ["AWSCURRENT", "AWSPREVIOUS"]);
    let again = fetch(&store, "app").await.unwrap();
    assert!(again.previous.is_some(), "known, as long as the version is the same");
    assert_eq!(stages(&service), ["AWSCURRENT"]);
    let refused = store.fetch("app", Occasion::ServerRefused).await.unwrap();
    assert_eq!(refused.pending.map(|pair| pair.password), Some(Secret::new("hunter3")));
    assert_eq!(stages(&service), ["AWSCURRENT", "AWSPENDING"]);
    let plain = store.fetch("new", Occasion::ServerRefused).await.unwrap();
    assert_eq!((plain.previous, plain.pending), (None, None));
}

#[tokio::test]
async fn what_aws_refuses_is_told_apart() {
    let service = Service::new(rotating);
    let store = AwsSecretsManager::over(session(&service));
    for (key, expected, definite) in [
        ("none", "there is no secret \"none\" in AWS Secrets Manager", true),
        ("foreign", "does not allow Millpond to read \"foreign\" (AccessDeniedException)", true),
        ("throttled", "is asked too often (ThrottlingException)", false),
        ("empty", "the password of \"empty\" is empty", true),
        ("json", "expected a password, or JSON with `password`", true),
    ] {
        let error = fetch(&store, key).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{key}: {error}");
        assert_eq!(error.is_definite(), definite, "{key}");
        assert!(!format!("{error} {error:?} {store:?}").contains("hunter"), "{error:?}");
    }
}

#[tokio::test]
async fn keys_that_ran_out_are_looked_for_again() {
    let service =
        Service::new(|_| Reply::Status(400, "{\"__type\": \"ExpiredTokenException\"}".into()));
    let store = AwsSecretsManager::over(session(&service));
    let error = fetch(&store, "app").await.unwrap_err();
    assert!(matches!(error, StoreError::Login { .. }), "{error:?}");
    assert_eq!(stages(&service).len(), 2, "once with the keys at hand, once with those found anew");
    service.answers(rotating);
    fetch(&store, "app").await.unwrap();
}

#[tokio::test]
async fn a_service_that_fails_is_told_from_one_without_the_secret() {
    let service = Service::new(rotating);
    let store = AwsSecretsManager::over(session(&service));
    fails_well(&store, &service, "app").await;
    gives_up(&store, &service, "app").await;
    let service = Service::new(rotating);
    let store = AwsParameterStore::over(session(&service));
    fails_well(&store, &service, "app").await;
    gives_up(&store, &service, "app").await;
}

#[tokio::test]
async fn parameters_are_asked_for_with_a_signature() {
    let service = Service::new(|asked: &Asked| {
        let signature = asked.header("authorization");
        assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{signature}");
        assert!(signature.contains("/eu-west-1/ssm/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, "), "{signature}");
        assert_eq!(asked.header("x-amz-target"), "AmazonSSM.GetParameter");
        let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(body["WithDecryption"], true);
        match body["Name"].as_str().unwrap() {
            "/shop/app" => {
                ok(r#"{"Parameter": {"Name": "/shop/app", "Value": "hunter2", "Version": 4,
                    "LastModifiedDate": 1.7e9, "Type": "SecureString"}}"#)
            }
            "foreign" => Reply::Status(400, "{\"__type\": \"AccessDeniedException\"}".into()),
            _ => Reply::Status(400, "{\"__type\": \"ParameterNotFound\"}".into()),
        }
    });
    let store = AwsParameterStore::over(session(&service));
    let secret = fetch(&store, "/shop/app").await.unwrap();
    assert_eq!((secret.password, secret.version.to_string()), (Secret::new("hunter2"), "4".into()));
    assert!(secret.age.is_some());
    let missing = fetch(&store, "none").await.unwrap_err();
    assert!(matches!(missing, StoreError::Missing { .. }), "{missing:?}");
    let denied = fetch(&store, "foreign").await.unwrap_err();
    assert!(matches!(denied, StoreError::Denied { .. }), "{denied:?}");
}

/// As AWS's documentation says of the extension.
fn extension(asked: &Asked) -> Reply {
    if asked.header("x-aws-parameters-secrets-token") != "hunter8" {
        return Reply::Status(403, "hunter8?".into());
    }
    let stage = "GET /secretsmanager/get?secretId=shop%2Fapp&versionStage=";
    let name = "GET /systemsmanager/parameters/get?name=%2Fshop%2Fapp&withDecryption=true";
    match asked.line.as_str() {
        line if line == format!("{stage}AWSCURRENT") => {
            version("v-2", "hunter2").with("1700000000.5", "\"2023-11-14T22:13:20.500Z\"")
        }
        line if line == format!("{stage}AWSPREVIOUS") => {
            version("v-1", "hunter1").with("1700000000.5", "\"2023-11-14T22:13:20.500Z\"")
        }
        line if line == name => ok(r#"{"Parameter": {"Value": "hunter3", "Version": 4,
                "LastModifiedDate": "2023-11-14T22:13:20.500Z"}, "ResultMetadata": {}}"#),
        _ => Reply::Status(400, "{\"Message\": \"ResourceNotFoundException: hunter5\"}".into()),
    }
}

impl Reply {
    fn with(self, from: &str, to: &str) -> Self {
        match self {
            Self::Status(status, body) => Self::Status(status, body.replace(from, to)),
            other => other,
        }
    }
}

#[tokio::test]
async fn the_extensions_cache_is_asked_as_documented() {
    let service = Service::new(extension);
    let token = vec![("AWS_SESSION_TOKEN".into(), "hunter8".into())];
    let store = |kind: &str, token| {
        let section = format!(
            "kind = \"{kind}\"\nvia = \"extension\"\nendpoint = \"http://{}\"",
            service.address
        );
        match configured(&section) {
            StoreConfig::AwsSecretsManager(config) => {
                Box::new(AwsSecretsManager::new(&config, Environment::new(token)))
                    as Box<dyn SecretStore>
            }
            StoreConfig::AwsParameterStore(config) => {
                Box::new(AwsParameterStore::new(&config, Environment::new(token)))
            }
            other => panic!("{other:?}"),
        }
    };
    let secrets = store("aws_secrets_manager", token.clone());
    let secret = secrets.fetch("shop/app", Occasion::Routine).await.unwrap();
    assert_eq!(secret.password, Secret::new("hunter2"));
    assert_eq!(secret.previous.map(|pair| pair.password), Some(Secret::new("hunter1")));
    let parameters = store("aws_parameter_store", token);
    let parameter = parameters.fetch("/shop/app", Occasion::Routine).await.unwrap();
    assert_eq!(parameter.password, Secret::new("hunter3"));
    for store in [secrets, parameters] {
        let error = store.fetch("none", Occasion::Routine).await.unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{error:?}");
        assert!(!format!("{error} {error:?} {store:?}").contains("hunter"), "{error:?}");
    }
    let stranger = store("aws_secrets_manager", Vec::new());
    let error = stranger.fetch("shop/app", Occasion::Routine).await.unwrap_err();
    assert!(matches!(error, StoreError::Login { .. }), "{error:?}");
}
