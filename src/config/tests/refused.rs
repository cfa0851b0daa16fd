//! Each way to be wrong, with the exact text that the operator reads.

use super::*;

/// What a configuration is refused with, one line for each thing that is wrong.
pub(super) fn refusals(text: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    match load_with(text, pairs) {
        Err(ConfigError::Refused(refusals)) => refusals.iter().map(ToString::to_string).collect(),
        Err(error) => panic!("not refused but {error}"),
        Ok(_) => panic!("accepted: {text}"),
    }
}

#[test]
fn endpoints_that_are_none_are_refused() {
    for wrong in [
        "[]",
        "[\"db\"]",
        "[\"db:0\"]",
        "[\"db:x\"]",
        "[\":3306\"]",
        "[\"::1:3306\"]",
        "\"db:1\"",
        "[\"db:3306@\"]",
        "[\"d b:3306\"]",
        "[3306]",
        "[\"mysql://db:3306\"]",
    ] {
        let found = refusals(&LEAST.replace("[\"db:3306\"]", wrong), &[]);
        let expected = format!(
            "services.orders.backend.endpoints = {wrong}: expected a list of servers as \
             \"host:port\" or \"host:port@zone\", such as [\"db-a.internal:3306@az-a\"]"
        );
        assert_eq!(found, [expected]);
    }
    let twice = refusals(&LEAST.replace("\"db:3306\"", "\"db:3306\", \"db:3306@a\""), &[]);
    assert_eq!(
        twice,
        ["services.orders.backend.endpoints = [\"db:3306\", \"db:3306@a\"]: a server is listed \
          twice: expected each once"]
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let text = "[services.a]\nlisten = 1\n[services.a.pool]\nmin_idel = 3\nmin_idle = \"x\"\n\
                [log]\nformat = \"xml\"\n[metrics]\non = true\n";
    let expected = [
        "services.a.listen = 1: expected an IP address and a port, such as \"127.0.0.1:3306\" or \
         \"[::1]:3306\"",
        "services.a.users: missing: expected at least one user, as [users.<name>] below the \
         service",
        "services.a.backend.endpoints: missing: expected a list of servers as \"host:port\" or \
         \"host:port@zone\", such as [\"db-a.internal:3306@az-a\"]",
        "services.a.pool.min_idle = \"x\": expected a whole number from 0 to 100000",
        "services.a.pool.min_idel: unknown key; did you mean `min_idle`?",
        "log.format = \"xml\": expected \"text\" or \"json\"",
        "metrics: unknown key; known here: secrets, identity, services, admin, events, log, runtime",
    ];
    assert_eq!(refusals(text, &[]), expected);
}

#[test]
fn nothing_at_all_is_too_little() {
    let expected = "services: missing: expected at least one service, as [services.<name>]";
    assert_eq!(refusals("", &[]), [expected]);
}

#[test]
fn a_wrong_variable_is_named() {
    let found = refusals(
        LEAST,
        &[
            ("MILLPOND__SERVICES__ORDERS__POOL__MIN_IDLE", "many"),
            ("MILLPOND__SERVICES__ORDERS__USERS__APP__SECRET", "hunter3"),
            ("MILLPOND__SERVICE__ORDERS__LISTEN", "x"),
        ],
    );
    let expected = [
        "services.orders.users.app.secret (from MILLPOND__SERVICES__ORDERS__USERS__APP__SECRET): \
         expected the name of a store and of a secret in it, as \"store:key\"",
        "services.orders.users.app.password: there is `secret` too: expected one",
        "services.orders.pool.min_idle = \"many\" (from \
         MILLPOND__SERVICES__ORDERS__POOL__MIN_IDLE): expected a whole number from 0 to 100000",
        "service (from MILLPOND__SERVICE__ORDERS__LISTEN): unknown key; did you mean `services`?",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_variable_that_is_not_unicode_is_named() {
    use std::os::unix::ffi::OsStringExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    fs::write(&path, LEAST).unwrap();
    let value = OsString::from_vec(vec![0xff]);
    let error = Config::load(&path, [("MILLPOND__LOG__LEVEL".into(), value)]).unwrap_err();
    let expected = "the environment variable MILLPOND__LOG__LEVEL is not valid UTF-8";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn two_services_do_not_share_a_port() {
    let other = LEAST.replace("orders", "stock");
    let expected = "services.stock.listen = \"127.0.0.1:3306\": the port is taken by \
                    services.orders.listen: expected another port";
    assert_eq!(refusals(&format!("{LEAST}{other}"), &[]), [expected]);

    let anywhere = other.replace("127.0.0.1:3306", "0.0.0.0:3306");
    assert_eq!(refusals(&format!("{LEAST}{anywhere}"), &[]).len(), 1, "0.0.0.0 is everywhere");
    let elsewhere = other.replace("127.0.0.1:3306", "127.0.0.2:3306");
    assert!(load(&format!("{LEAST}{elsewhere}")).is_ok());
    let any_free = format!("{LEAST}{other}").replace("127.0.0.1:3306", "127.0.0.1:0");
    assert!(load(&any_free).is_ok(), "port 0 is any free port");
}

#[test]
fn the_admin_port_is_not_opened_to_the_world_by_accident() {
    let found = refusals(&format!("{LEAST}[admin]\nlisten = \"0.0.0.0:9306\"\n"), &[]);
    let expected = "admin.listen = \"0.0.0.0:9306\": strangers could look, from other machines: \
                    expected a loopback address such as \"127.0.0.1:9306\", or `read_token` or \
                    `tls.client_ca` beside it, or `allow_remote = true` where the network keeps \
                    strangers out";
    assert_eq!(found, [expected]);
}

#[test]
fn stores_are_checked() {
    let cases = [
        (
            "kind = \"valut\"",
            "kind = \"valut\": expected \"file\", \"directory\", \"env\", \"exec\", \
             \"aws_secrets_manager\", \"aws_parameter_store\", \"vault\", \"gcp\" or \"azure\"",
        ),
        (
            "path = \"x\"",
            "kind: missing: expected \"file\", \"directory\", \"env\", \"exec\", \
             \"aws_secrets_manager\", \"aws_parameter_store\", \"vault\", \"gcp\" or \"azure\"",
        ),
        ("kind = \"file\"", "path: missing: expected the path of a TOML or JSON file"),
        (
            "kind = \"directory\"",
            "path: missing: expected the path of a folder with a file for each secret",
        ),
        (
            "kind = \"exec\"",
            "command: missing: expected a list of texts: the program and its arguments",
        ),
        (
            "kind = \"exec\"\ncommand = [\"\", \"x\"]",
            "command = [\"\", \"x\"]: it has no program: expected its path or name",
        ),
        (
            "kind = \"env\"\npath = \"x\"",
            "path = \"x\": only for kind = \"file\" or \"directory\"; \"env\" has `prefix`",
        ),
        (
            "kind = \"file\"\npath = \"x\"\nprefix = \"P\"",
            "prefix = \"P\": only for kind = \"env\"; \"file\" has `path`",
        ),
        (
            "kind = \"env\"\ntoken = \"hunter2\"",
            "token: only for kind = \"vault\"; \"env\" has `prefix`",
        ),
        (
            "kind = \"aws_secrets_manager\"\nvia = \"extension\"\nregion = \"eu-west-1\"",
            "region = \"eu-west-1\": the extension has its own: leave it out",
        ),
        (
            "kind = \"aws_parameter_store\"\nendpoint = \"ssm:443\"",
            "endpoint = \"ssm:443\": expected the address of a web service, such as \
             \"https://vault.internal:8200\", without user and password",
        ),
        (
            "kind = \"vault\"\nauth = \"token\"\ntoken = \"hunter2\"",
            "address: missing: expected Vault's address, such as \"https://vault.internal:8200\"",
        ),
        (
            "kind = \"vault\"\naddress = \"http://v\"",
            "auth: missing: expected \"token\", \"approle\" or \"kubernetes\"",
        ),
        (
            "kind = \"vault\"\naddress = \"http://v\"\nauth = \"token\"",
            "token_file: missing: expected the path of a file with a token, or `token`",
        ),
        (
            "kind = \"vault\"\naddress = \"http://v\"\nauth = \"token\"\ntoken = \"hunter2\"\n\
             token_file = \"t\"",
            "token_file = \"t\": there is `token` too: expected one",
        ),
        (
            "kind = \"vault\"\naddress = \"http://v\"\nauth = \"kubernetes\"\nrole = \"r\"\n\
             secret_id = \"hunter2\"",
            "secret_id: not for auth = \"kubernetes\", but for \"approle\"",
        ),
        (
            "kind = \"gcp\"",
            "project: missing: expected the project's id, such as \"shop-production\"",
        ),
        (
            "kind = \"azure\"",
            "address: missing: expected the vault's address: \"https://NAME.vault.azure.net\"",
        ),
        (
            "kind = \"azure\"\naddress = \"https://v\"\nclient_secret = \"hunter2\"",
            "client_secret: not for auth = \"managed_identity\"",
        ),
    ];
    for (settings, refusal) in cases {
        let found = refusals(&format!("{LEAST}[secrets.main]\n{settings}\n"), &[]);
        assert_eq!(found, [format!("secrets.main.{refusal}")]);
    }
    let text = LEAST.replace("password = \"hunter2\"", "secret = \"mian:app\"");
    let found = refusals(&format!("{text}[secrets.main]\nkind = \"env\"\n"), &[]);
    assert_eq!(found, ["services.orders.users.app.secret: no such store: expected one of main"]);
}

#[test]
fn a_signature_needs_tls_and_another_secret_a_store() {
    let text = LEAST.replace("password", "login = \"rds_iam\"\npassword");
    let expected = "services.orders.users.app.login: a signature is only sent under TLS: expected \
                    backend.tls.mode = \"required\", \"verify-ca\" or \"verify-identity\"";
    assert_eq!(refusals(&text, &[]), [expected]);
    let encrypted = text.clone() + "[services.orders.backend.tls]\nmode = \"required\"\n";
    assert!(load(&encrypted).is_ok());
    let text = LEAST.replace("password", "login = \"mian:app\"\npassword");
    let found = refusals(&format!("{text}[secrets.main]\nkind = \"env\"\n"), &[]);
    assert_eq!(found, ["services.orders.users.app.login: no such store: expected one of main"]);
    let text = LEAST.replace("password", "login = \"iam\"\npassword");
    assert!(
        refusals(&text, &[])[0]
            .starts_with("services.orders.users.app.login: expected \"client\", ")
    );
}

#[test]
fn a_user_who_must_use_tls_can() {
    let text = LEAST.replace("password", "require_tls = true\npassword")
        + "[services.orders.tls]\nmode = \"disabled\"\n";
    let expected = "services.orders.users.app.require_tls: the user could never connect, because \
                    the service's tls.mode is \"disabled\": expected \"preferred\" or \
                    \"required\" there";
    assert_eq!(refusals(&text, &[]), [expected]);
}

#[test]
fn log_levels_are_checked() {
    for wrong in ["", "loud", "info,loud", "millpond=loud"] {
        let found = refusals(&format!("{LEAST}[log]\nlevel = \"{wrong}\"\n"), &[]);
        assert!(found[0].starts_with(&format!("log.level = \"{wrong}\": expected error, warn")));
    }
}

#[test]
fn service_names_can_be_labels() {
    let found = refusals(&LEAST.replace("orders", "\"or ders\""), &[]);
    let expected = "services.or ders: a service's name has only letters, digits, `-` and `_`";
    assert_eq!(found, [expected]);
}

#[test]
fn aurora_without_a_way_to_its_instances_is_refused() {
    let aurora = |endpoint: &str| {
        let endpoints = format!("{endpoint}:3306");
        [
            ("MILLPOND__SERVICES__ORDERS__BACKEND__PROVIDER".to_owned(), "aurora".to_owned()),
            ("MILLPOND__SERVICES__ORDERS__BACKEND__ENDPOINTS".to_owned(), endpoints),
        ]
    };
    let load = |endpoint: &str| {
        let pairs = aurora(endpoint);
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        load_with(LEAST, &pairs).map_err(|error| error.to_string())
    };
    let refused = load("db.internal").unwrap_err();
    assert!(refused.contains("services.orders.backend.instance_host"), "{refused}");
    let host = "orders.cluster-abc.eu-west-1.rds.amazonaws.com";
    let instances = load(host).unwrap().services[0].backend.instance_host.clone();
    assert_eq!(instances, InstanceHost::of_endpoint("one.abc.eu-west-1.rds.amazonaws.com"));
}

#[test]
fn a_webhook_is_not_repeated_where_it_is_refused() {
    let text = format!(
        "{LEAST}\n[events]\nwebhook = \"ftp://hunter2\"\nwebhook_authorization = \"hunter2\\n\"\n"
    );
    let expected = [
        "events.webhook: expected the address of a web service, such as \
         \"https://vault.internal:8200\", without user and password",
        "events.webhook_authorization: expected text of printable ASCII characters, such as \
         \"Bearer …\"",
    ];
    assert_eq!(refusals(&text, &[]), expected);
    let text = format!("{LEAST}\n[events]\nwebhook_authorization = \"hunter2\"\n");
    let expected =
        "events.webhook_authorization: there is no webhook: expected `webhook` beside it";
    assert_eq!(refusals(&text, &[]), [expected]);
}
