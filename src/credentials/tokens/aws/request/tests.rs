//! What may be sent to AWS in a client's name, and what may not.

use super::*;

/// 2026-11-26 16:15:00 UTC
const DATE: u64 = 1_795_709_700;

const RIGHT: &str = "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&\
    Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20261126%2F\
    eu-west-1%2Fsts%2Faws4_request&X-Amz-Date=20261126T161500Z&X-Amz-Expires=900&\
    X-Amz-Security-Token=ab%2B%2Fc%3D&X-Amz-SignedHeaders=host&X-Amz-Signature=0123abcd";

fn config(endpoint: Option<&str>, audience: Option<&str>) -> AwsIamConfig {
    let endpoint = endpoint.map(|endpoint| endpoint.parse().unwrap());
    AwsIamConfig { endpoint, audience: audience.map(str::to_owned), ca: None }
}

fn read(token: &str, config: &AwsIamConfig) -> Result<Request, String> {
    Request::read(token, config, DATE + 60).map_err(|error| error.to_string())
}

#[test]
fn a_request_is_understood_and_written_anew() {
    let request = read(RIGHT, &config(None, None)).unwrap();
    assert_eq!(request.expires, DATE + 900);
    assert_eq!(request.url.expose(), RIGHT);
    assert_eq!(request.url.host(), "sts.eu-west-1.amazonaws.com");
    // As clusters have it, with and without padding.
    for encoded in ["k8s-aws-v1.aHR0cHM6Ly9h", "k8s-aws-v1.aHR0cHM6Ly9hYg", "k8s-aws-v1.YQ=="] {
        assert!(is_request(encoded));
    }
    assert_eq!(base64url("aHR0cHM6Ly9h").as_deref(), Some("https://a"));
    assert_eq!(base64url("aHR0cHM6Ly9hYg==").as_deref(), Some("https://ab"));
    assert_eq!(base64url("aHR0cHM6Ly9hYg").as_deref(), Some("https://ab"));
    for broken in ["a", "a+b/", "____", "aHR0cHM6Ly9hYg==="] {
        assert!(base64url(broken).is_none_or(|text| text == "https://ab"), "{broken}");
    }
}

#[test]
fn only_aws_is_asked_unless_another_service_is_configured() {
    for host in
        ["sts.amazonaws.com", "sts.cn-north-1.amazonaws.com.cn", "sts-fips.us-east-1.amazonaws.com"]
    {
        let token = RIGHT.replace("sts.eu-west-1.amazonaws.com", host);
        assert!(read(&token, &config(None, None)).is_ok(), "{host}");
    }
    for host in [
        "evil.example",
        "sts.amazonaws.com.evil.example",
        "stsamazonaws.com",
        "sts..amazonaws.com",
        "sts.a.b.amazonaws.com",
        "s3.eu-west-1.amazonaws.com",
        "sts.evil.example/.amazonaws.com",
        "sts.amazonaws.com:8443",
        "sts.amazonaws.com@evil.example",
        "evil.example#.amazonaws.com",
        "sts.eu-west-1amazonaws.com",
    ] {
        let token = RIGHT.replace("sts.eu-west-1.amazonaws.com", host);
        assert!(read(&token, &config(None, None)).is_err(), "{host}");
    }
    let plain = RIGHT.replace("https", "http");
    assert!(read(&plain, &config(None, None)).is_err());
    let own = config(Some("http://127.0.0.1:5000"), None);
    assert!(read(RIGHT, &own).is_err(), "only the configured one");
    let token = RIGHT.replace("https://sts.eu-west-1.amazonaws.com", "http://127.0.0.1:5000");
    assert!(read(&token, &own).is_ok());
    assert!(read(&token.replace("5000", "5001"), &own).is_err());
}

#[test]
fn nothing_but_the_one_question_is_sent() {
    let without = |name: &str| {
        let (head, query) = RIGHT.split_once('?').unwrap();
        let kept: Vec<_> = query.split('&').filter(|pair| !pair.starts_with(name)).collect();
        format!("{head}?{}", kept.join("&"))
    };
    for (token, why) in [
        (RIGHT.replace("GetCallerIdentity", "AssumeRole"), "Action"),
        (without("Action"), "Action"),
        (RIGHT.replace("2011-06-15", "2010-01-01"), "Version"),
        (without("X-Amz-Algorithm"), "X-Amz-Algorithm"),
        (without("X-Amz-Signature"), "not signed"),
        (without("X-Amz-Credential"), "not signed"),
        (without("X-Amz-Expires"), "X-Amz-Expires"),
        (RIGHT.replace("Expires=900", "Expires=901"), "X-Amz-Expires"),
        (RIGHT.replace("Expires=900", "Expires=0"), "X-Amz-Expires"),
        (RIGHT.replace("Expires=900", "Expires=-1"), "X-Amz-Expires"),
        (without("X-Amz-Date"), "X-Amz-Date"),
        (RIGHT.replace("T161500Z", "T166500Z"), "X-Amz-Date"),
        (RIGHT.replace("20261126T", "20270101T"), "future"),
        (RIGHT.replace("T161500Z", "T155900Z"), "expired"),
        (format!("{RIGHT}&RoleArn=x"), "must not have"),
        (format!("{RIGHT}&action=x"), "must not have"),
        (format!("{RIGHT}&Action=GetCallerIdentity"), "twice"),
        (format!("{RIGHT}&%41ction=GetCallerIdentity"), "twice"),
        (format!("{RIGHT}&x"), "a parameter"),
        (format!("{RIGHT}&X-Amz-%ZZ=1"), "name"),
        (RIGHT.replace("=host&", "=host%3Bx-other&"), "signed headers"),
        (RIGHT.replace("=host&", "=x-other&"), "signed headers"),
        (without("X-Amz-SignedHeaders"), "signed headers"),
        (RIGHT.replace("com/?", "com/other?"), "path"),
        ("https://".into(), "no address"),
        ("k8s-aws-v1.!".into(), "base64"),
    ] {
        let error = read(&token, &config(None, None)).unwrap_err();
        assert!(error.contains(why), "{token}: {error}");
    }
}

#[test]
fn who_wants_tokens_of_its_own_takes_no_others() {
    let own = config(None, Some("orders"));
    assert!(read(RIGHT, &own).unwrap_err().contains("x-millpond-audience"));
    let token = RIGHT.replace("=host&", "=host%3Bx-millpond-audience&");
    assert!(read(&token, &own).is_ok());
    assert!(read(&token, &config(None, None)).is_err());
}

#[test]
fn dates_are_read() {
    assert_eq!(date("19700101T000000Z"), Some(0));
    assert_eq!(date("20000229T235959Z"), Some(951_868_799));
    assert_eq!(date("20261126T161500Z"), Some(DATE));
    for text in ["", "20261126T161500", "20261326T161500Z", "20261126 161500Z", "2026112äT16150Z"]
    {
        assert_eq!(date(text), None, "{text}");
    }
}
