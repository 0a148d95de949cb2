use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::config::login::{LoginMethod, Users};
use crate::store::attempts::AttemptBudget;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn parse(kind: &str, body: &str) -> Result<LoginRequest, &'static str> {
    let budget = AttemptBudget { attempts_max: 10, span_s: 900 };
    let login = Login {
        base: "/auth".into(),
        issuer: "gateway".into(),
        method: LoginMethod::PasswordFile(Users::default()),
        return_to: Vec::new(),
        per_account: budget,
        per_address: budget,
        successes_per_account: budget,
        successes_per_address: budget,
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).expect("a value"));
    let body = Bytes::copy_from_slice(body.as_bytes());
    LoginRequest::parse(&headers, body, &login, None).map_err(|unreadable| unreadable.detail)
}

fn read(kind: &str, body: &str) -> (String, Vec<u8>, Option<String>) {
    let sent = parse(kind, body).expect(body);
    let return_to = sent.return_to.map(|to| to.as_str().to_owned());
    let NameAndPassword { name, password } = sent.credentials;
    (name.into(), password.expose().to_vec(), return_to)
}

#[test]
fn both_forms_are_read() {
    let expected = ("al".to_owned(), "p w\0\u{e9}".as_bytes().to_vec(), Some("/a".to_owned()));
    let json = r#"{"username":"al","password":"p w\u0000é","return_to":"/a","deliver":"session"}"#;
    assert_eq!(read(JSON, json), expected);
    assert_eq!(read("Application/JSON; charset=utf-8", json), expected);
    let form = "username=al&password=p+w%00%C3%A9&return_to=%2Fa";
    assert_eq!(read(FORM, form), expected);
    assert_eq!(read("application/x-www-form-urlencoded;charset=UTF-8", form), expected);
}

#[test]
fn other_types_are_refused_and_told_which_would_do() {
    for kind in ["text/plain", "multipart/form-data", "application/jsonx", "application", ""] {
        let detail = parse(kind, "username=a&password=b").expect_err(kind);
        assert!(detail.contains(JSON) && detail.contains(FORM), "{kind}: {detail}");
    }
}

#[test]
fn repeated_unknown_missing_and_wrong_members_are_refused() {
    for body in [
        "",
        "[]",
        "{}",
        r#"{"username":"a"}"#,
        r#"{"password":"b"}"#,
        r#"{"username":"a","password":""}"#,
        r#"{"username":"","password":"b"}"#,
        r#"{"username":"a","password":7}"#,
        r#"{"username":["a"],"password":"b"}"#,
        r#"{"username":"a","password":"b","password":"b"}"#,
        r#"{"username":"a","password":"b","user\u006eame":"b"}"#,
        r#"{"username":"a","password":"b","otp":"1"}"#,
        r#"{"username":"a","password":"b","deliver":"tokens"}"#,
        r#"{"username":"a","password":"b","return_to":null}"#,
        r#"{"username":"a","password":"b","return_to":"https://evil.example"}"#,
        r#"{"username":"a","password":"b"} x"#,
    ] {
        assert!(parse(JSON, body).is_err(), "{body}");
    }
    for body in [
        "",
        "username=a",
        "username=a&password=",
        "username=a&username=a&password=b",
        "username=a&password=b&password=b",
        "username=a&password=b&otp=1",
        "username=a&password=b&deliver=tokens",
        "username=a&password=b&return_to=//evil.example",
        "username=a&password=%zz",
        "username=a&password=%ff",
    ] {
        assert!(parse(FORM, body).is_err(), "{body}");
    }
}

#[test]
fn lengths_are_accepted_up_to_the_limit_and_refused_beyond() {
    let body = |name: usize, password: usize| {
        format!("username={}&password={}", "a".repeat(name), "b".repeat(password))
    };
    assert!(parse(FORM, &body(NAME_BYTES_MAX, PASSWORD_BYTES_MAX)).is_ok());
    assert!(parse(FORM, &body(NAME_BYTES_MAX + 1, 1)).is_err());
    assert!(parse(FORM, &body(1, PASSWORD_BYTES_MAX + 1)).is_err());
}

#[test]
fn nothing_of_a_login_is_shown() {
    let shown = format!("{:?}", parse(FORM, "username=alice&password=secret").expect("reads"));
    assert!(!shown.contains("alice") && !shown.contains("secret"), "{shown}");
}

proptest! {
    #[test]
    fn noise_never_panics(kind in prop_oneof![Just(JSON), Just(FORM)], body in ".{0,80}") {
        let _ = parse(kind, &body);
    }

    #[test]
    fn passwords_arrive_as_they_were_typed(password in ".{1,100}") {
        let body = serde_json::json!({ "username": "a", "password": &password }).to_string();
        prop_assert_eq!(read(JSON, &body).1, password.as_bytes());
    }
}
