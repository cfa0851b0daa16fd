//! Secrets from AWS Secrets Manager and its Parameter Store, as moto plays them: over HTTP, through
//! the SDK, with keys from the environment.

use mysql_async::prelude::Queryable;
use serde_json::json;

use crate::stores::{greet_as, greets_at_last, set_password};
use crate::support::accounts::APP;
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::rds::{Rds, Rules};
use crate::support::server::Server;
use crate::support::servers;
use crate::support::stores::Aws;

const KEYS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "key-hunter"),
    ("AWS_SESSION_TOKEN", "session-hunter"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

fn settings(aws: &Aws, kind: &str, user: &str, key: &str) -> Settings {
    let environment = KEYS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let other = format!(
        "[services.test.users.{user}]\nsecret = \"main:{key}\"\n[secrets.main]\nkind = \"{kind}\"\n\
         region = \"eu-west-1\"\nendpoint = \"http://127.0.0.1:{}\"\nrefresh = \"1s\"\n\
         [log]\nlevel = \"trace\"\n",
        aws.port
    );
    Settings { other, environment, ..Settings::with_pool_of(2) }
}

fn version(user: &str, password: &str) -> String {
    json!({ "username": user, "password": password, "engine": "mysql", "port": 3306 }).to_string()
}

/// A rotation as AWS's functions do it, step by step.
async fn rotate(server: &'static Server) {
    let Some(aws) = Aws::start() else { return };
    let user = "awskeeper";
    set_password(server, user, "hunter-1").await;
    let created = aws.act(
        "secretsmanager.CreateSecret",
        &json!({ "Name": "shop/app-db", "SecretString": version(user, "hunter-1"),
                 "ClientRequestToken": "11111111-1111-1111-1111-111111111111" }),
    );
    let pending = "22222222-2222-2222-2222-222222222222";
    aws.act(
        "secretsmanager.PutSecretValue",
        &json!({ "SecretId": "shop/app-db", "ClientRequestToken": pending,
                 "SecretString": version(user, "hunter-2"), "VersionStages": ["AWSPENDING"] }),
    );
    // The server has the next one already, and the store does not say so yet.
    set_password(server, user, "hunter-2").await;
    let settings = settings(&aws, "aws_secrets_manager", user, "shop/app-db");
    let millpond = Millpond::start(server, &settings);
    greet_as(millpond.port, user, "hunter-1").await.unwrap();
    let early = greet_as(millpond.port, user, "hunter-2").await.unwrap_err();
    assert!(early.contains("1045"), "not a client's password yet: {early}");
    let current = created["VersionId"].as_str().unwrap();
    aws.act(
        "secretsmanager.UpdateSecretVersionStage",
        &json!({ "SecretId": "shop/app-db", "VersionStage": "AWSCURRENT",
                 "RemoveFromVersionId": current, "MoveToVersionId": pending }),
    );
    greets_at_last(millpond.port, user, "hunter-2").await;
    greet_as(millpond.port, user, "hunter-1").await.unwrap();
    let metrics = millpond.page("/metrics");
    assert!(metrics.contains("millpond_secret_age_seconds{secret=\"shop/app-db\""), "{metrics}");
    let log = millpond.log();
    assert!(!log.contains("hunter") && !metrics.contains("hunter"), "{log}");

    // Another process knows from the store what was before.
    let second = Millpond::start(server, &settings);
    greet_as(second.port, user, "hunter-1").await.unwrap();
    greet_as(second.port, user, "hunter-2").await.unwrap();
    assert!(!second.log().contains("hunter"), "{}", second.log());
}

#[test]
fn a_rotation_is_followed_through_its_stages() {
    servers::both_async(rotate);
}

#[test]
fn a_parameter_is_followed() {
    servers::one_async(async |server| {
        let Some(aws) = Aws::start() else { return };
        let user = "ssmkeeper";
        let put = |password: &str, overwrite: bool| {
            let value = json!({ "Name": "/shop/app-db", "Type": "SecureString", "Value": password,
                                "Overwrite": overwrite });
            aws.act("AmazonSSM.PutParameter", &value);
        };
        put("hunter-1", false);
        set_password(server, user, "hunter-1").await;
        let settings = settings(&aws, "aws_parameter_store", user, "/shop/app-db");
        let millpond = Millpond::start(server, &settings);
        greet_as(millpond.port, user, "hunter-1").await.unwrap();
        put("hunter-2", true);
        set_password(server, user, "hunter-2").await;
        greets_at_last(millpond.port, user, "hunter-2").await;
        let log = millpond.log();
        assert!(!log.contains("hunter"), "{log}");
    });
}

/// A name that no secret has keeps its own users out, says so, and nobody else.
#[test]
fn a_secret_that_is_not_there_keeps_out_its_own_users_only() {
    servers::one_async(async |server| {
        let Some(aws) = Aws::start() else { return };
        let user = "latekeeper";
        let mut settings = settings(&aws, "aws_secrets_manager", user, "misspelt");
        settings.other = settings.other.replace("\"trace\"", "\"info\"");
        let millpond = Millpond::start(server, &settings);
        let mut other = millpond.connect(&APP, None).await.unwrap();
        other.query_drop("SELECT 1").await.unwrap();
        let denied = greet_as(millpond.port, user, "").await.unwrap_err();
        assert!(denied.contains("1045"), "{denied}");
        let log = millpond.log();
        assert!(
            log.contains("there is no secret \\\"misspelt\\\"")
                || log.contains("there is no secret \"misspelt\""),
            "{log}"
        );
        assert!(
            log.contains("no login for the users of this secret until it can be read"),
            "{log}"
        );
        set_password(server, user, "hunter-1").await;
        aws.act(
            "secretsmanager.CreateSecret",
            &json!({ "Name": "misspelt", "SecretString": version(user, "hunter-1") }),
        );
        greets_at_last(millpond.port, user, "hunter-1").await;
    });
}

/// A signature of IAM in place of a password, checked by a stand-in for RDS in front of a MariaDB.
#[test]
fn a_signature_takes_a_passwords_place() {
    servers::both_async(async |server| {
        if server.flavor != Flavor::MariaDb {
            return;
        }
        let rules = Rules {
            region: "eu-west-1",
            user: "iam_app",
            secret_key: "key-hunter",
            server: server.port,
            account: APP,
        };
        let rds = Rds::start(&server.certificates, rules).await;
        let mut environment: Vec<_> = KEYS
            .iter()
            .filter(|(name, _)| *name != "AWS_SESSION_TOKEN")
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let endpoint = format!("127.0.0.1:{}", rds.port);
        environment.push(("MILLPOND__SERVICES__TEST__BACKEND__ENDPOINTS".to_owned(), endpoint));
        environment.push(("AWS_REGION".to_owned(), "eu-west-1".to_owned()));
        let settings = Settings {
            backend: "monitor_user = \"signed\"\n".to_owned(),
            other: "[services.test.backend.tls]\nmode = \"required\"\n\
                    [services.test.users.signed]\npassword = \"of-clients\"\nlogin = \"rds_iam\"\n\
                    database_user = \"iam_app\"\n[log]\nlevel = \"trace\"\n"
                .to_owned(),
            environment,
            ..Settings::with_pool_of(2)
        };
        let millpond = Millpond::start(server, &settings);
        greet_as(millpond.port, "signed", "of-clients").await.unwrap();
        let (log, tokens) = (millpond.log(), rds.tokens());
        assert!(!tokens.is_empty());
        for secret in tokens.iter().map(String::as_str).chain(["key-hunter", "X-Amz-Signature"]) {
            assert!(!log.contains(secret), "{log}");
        }
        // A password is no signature.
        let refused = greet_as(millpond.port, APP.name, APP.password).await.unwrap_err();
        assert!(refused.contains("Access denied") || refused.contains("1045"), "{refused}");
    });
}
