//! Who clients may be: limits, certificates, tokens, users that only the server knows.

use super::*;

/// What a configuration is refused with, one line for each thing that is wrong.
fn refusals(text: &str) -> Vec<String> {
    match load(text) {
        Err(ConfigError::Refused(refusals)) => refusals.iter().map(ToString::to_string).collect(),
        Err(error) => panic!("not refused but {error}"),
        Ok(_) => panic!("accepted: {text}"),
    }
}

const CORP: &str = "[identity.corp]\nkind = \"jwt\"\nissuer = \"https://id.example\"\n\
                    audience = [\"millpond\"]\n";
const AWS: &str = "[identity.aws]\nkind = \"aws_iam\"\n";

#[test]
fn what_is_right_is_read() {
    let text = format!(
        "{LEAST}certificate = {{ subject = \"*/CN=app\", instead_of_password = true }}\n\
         token = {{ provider = \"corp\", claims = {{ sub = \"shop:*\" }} }}\n\
         [services.orders.tls]\nclient_ca = \"ca.pem\"\n\
         [services.orders.login_limits]\nfailures_per_user = 0\n{CORP}{AWS}"
    );
    let config = load(&text).unwrap();
    let orders = &config.services[0];
    assert_eq!(orders.login_limits.per_user, None);
    assert_eq!(orders.login_limits.per_address, Some(100));
    assert_eq!(orders.unknown_users, UnknownUsers::Refuse);
    let app = &orders.users["app"];
    let certificate = app.certificate.as_ref().unwrap();
    assert_eq!(certificate.password, CertifiedPassword::Replaced);
    assert!(certificate.subject.as_ref().unwrap().fits("/O=x/CN=app"));
    assert_eq!(app.token.as_ref().unwrap().claims[0].0, "sub");
    let IdentityConfig::Jwt(corp) = &config.identity["corp"] else { panic!("jwt") };
    assert_eq!(corp.algorithms.len(), 3);
    assert!(!config.differences(&load(LEAST).unwrap()).is_empty());
}

#[test]
fn a_user_who_has_to_show_a_certificate_can() {
    let rule = format!("{LEAST}certificate.subject = \"/CN=app\"\n");
    let found = refusals(&rule);
    assert!(found[0].contains("no certificate is asked for"), "{found:?}");
    let with_ca = |rule: &str| {
        format!("{LEAST}certificate = {{ {rule} }}\n[services.orders.tls]\nclient_ca = \"ca\"\n")
    };
    for (rule, expected) in [
        ("instead_of_password = true", "certificate.subject: missing: expected it, or `san`"),
        ("san = [\"orders\"]", "certificate.san = [\"orders\"]: expected names such as \"URI:"),
        ("subject = \"\"", "certificate.subject = \"\": expected a name such as"),
        ("subjekt = \"x\"", "did you mean `subject`?"),
    ] {
        let found = refusals(&with_ca(rule));
        assert!(found.iter().any(|line| line.contains(expected)), "{rule}: {found:?}");
    }
}

#[test]
fn nobody_is_anybody_with_a_token() {
    for (token, expected) in [
        ("provider = \"corp\"", "token.claims: missing"),
        ("provider = \"aws\"", "token.arn: missing"),
        ("claims = { sub = \"x\" }", "token.provider: missing"),
        ("provider = \"crop\", claims = { sub = \"x\" }", "expected one of aws, corp"),
        ("provider = \"corp\", claims = { sub = \"\" }", "token.claims.sub = \"\": expected text"),
        ("provider = \"corp\", claims = { sub = \"x\" }, arn = [\"x\"]", "kind = \"aws_iam\""),
        ("provider = \"aws\", claims = { sub = \"x\" }, arn = [\"x\"]", "kind = \"jwt\""),
    ] {
        let found = refusals(&format!("{LEAST}token = {{ {token} }}\n{CORP}{AWS}"));
        assert!(found.iter().any(|line| line.contains(expected)), "{token}: {found:?}");
    }
    let plain = format!(
        "{LEAST}token = {{ provider = \"aws\", arn = [\"x\"] }}\n\
         [services.orders.tls]\nmode = \"disabled\"\n{AWS}"
    );
    let found = refusals(&plain);
    assert!(found[0].contains("tokens are only taken under TLS"), "{found:?}");
}

#[test]
fn who_vouches_is_asked_where_nobody_else_can_answer() {
    for (identity, expected) in [
        ("kind = \"ldap\"", "kind = \"ldap\": expected \"jwt\" or \"aws_iam\""),
        ("issuer = \"x\"", "kind: missing"),
        ("kind = \"jwt\"", "audience: missing"),
        ("kind = \"jwt\"", "issuer: missing"),
        ("kind = \"jwt\"\nissuer = \"corp\"\naudience = [\"a\"]", "jwks_url: missing"),
        (
            "kind = \"jwt\"\nissuer = \"corp\"\naudience = [\"a\"]\njwks_url = \"http://id.example\"",
            "it is not encrypted",
        ),
        (
            "kind = \"jwt\"\nissuer = \"corp\"\naudience = [\"a\"]\nalgorithms = [\"HS256\"]",
            "none with a shared key",
        ),
        (
            "kind = \"jwt\"\nissuer = \"corp\"\naudience = [\"a\"]\nalgorithms = [\"none\"]",
            "none with a shared key",
        ),
        ("kind = \"aws_iam\"\nendpoint = \"http://sts.amazonaws.com\"", "it is not encrypted"),
        ("kind = \"aws_iam\"\nissuer = \"x\"", "only for kind = \"jwt\""),
        ("kind = \"aws_iam\"\naudience = [\"a\", \"b\"]", "expected one text"),
        ("kind = \"jwt\"\nendpoint = \"https://x\"", "only for kind = \"aws_iam\""),
    ] {
        let found = refusals(&format!("{LEAST}[identity.corp]\n{identity}\n"));
        assert!(found.iter().any(|line| line.contains(expected)), "{identity}: {found:?}");
    }
}

#[test]
fn limits_are_checked() {
    for (settings, expected) in [
        ("login_limits.window = \"0\"", "expected a duration from 1s to 1d"),
        ("login_limits.failures_per_user = -1", "expected a whole number from 0 to 1000000"),
        ("unknown_users = \"ask\"", "expected \"refuse\" or \"pass_through\""),
        ("max_pass_through_users = 0", "expected a whole number from 1 to 10000"),
    ] {
        let text = LEAST.replace(
            "[services.orders.backend]",
            &format!("{settings}\n[services.orders.backend]"),
        );
        let found = refusals(&text);
        assert!(found[0].contains(expected), "{settings}: {found:?}");
    }
}
