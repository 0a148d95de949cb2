mod csrf;
mod sessions;

use http::header::{COOKIE, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::gate::forward::IdentityTemplate;
use crate::gate::forward::OwnedName;
use crate::gate::request::{Request, Scheme};
use crate::gate::time::Moment;
use crate::gate::time::{SteadyTime, UnixTime};

const NAME: &str = "__Host-session";

fn rules() -> CookieRules {
    CookieRules { name: NAME.into(), domain: None, same_site: SameSite::Lax, set_by: SetBy::Secure }
}

fn secret(seed: u8) -> SessionSecret {
    SessionSecret::from_random([seed; 32])
}

fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name.clone(), HeaderValue::from_str(value).expect("a header value"));
    }
    headers
}

fn find(fields: &[&str]) -> Result<Option<SessionId>, Ambiguous> {
    let fields: Vec<_> = fields.iter().map(|field| (COOKIE, *field)).collect();
    rules().find(&headers(&fields)).map(|found| found.map(|secret| secret.id()))
}

#[test]
fn cookie_is_found_among_others_and_over_several_fields() {
    let own = format!("{NAME}={}", secret(7).expose());
    let id = Ok(Some(secret(7).id()));
    assert_eq!(find(&[&own]), id);
    assert_eq!(find(&[&format!("a=b; {own}; c")]), id);
    assert_eq!(find(&[&format!("a=b;{own}")]), id);
    assert_eq!(find(&["a=b", &own]), id);
    assert_eq!(find(&[]), Ok(None));
    assert_eq!(find(&["a=b; session=1; x__Host-session=1; __host-session=1"]), Ok(None));
}

#[test]
fn repeated_or_malformed_cookie_is_refused() {
    let good = secret(7).expose();
    let own = format!("{NAME}={good}");
    let (last, rest) = (good.chars().last().expect("text"), &good[..42]);
    // 43 characters hold two bits more than 256; they must be zero.
    let next = char::from(last as u8 + 1);
    for fields in [
        vec![format!("{own}; {own}")],
        vec![own.clone(), own.clone()],
        vec![format!("{own}; {NAME}")],
        vec![format!("{own}; {NAME} =x")],
        vec![NAME.to_owned()],
        vec![format!("{NAME}=")],
        vec![format!("{NAME}={rest}")],
        vec![format!("{own}A")],
        vec![format!("{own}=")],
        vec![format!("{NAME}=\"{good}\"")],
        vec![format!("{NAME}={rest}{next}")],
        vec![format!("{NAME}={rest}+")],
        vec![format!("{NAME}={}", "a".repeat(10_000))],
    ] {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        assert_eq!(find(&fields), Err(Ambiguous), "{fields:?}");
    }
}

#[test]
fn cookie_is_set_and_cleared_with_what_makes_it_safe() {
    let secret = secret(7);
    let value = secret.expose();
    assert_eq!(
        rules().set(&secret),
        format!("{NAME}={value}; Path=/; Secure; HttpOnly; SameSite=Lax")
    );
    assert_eq!(
        rules().clear(),
        format!("{NAME}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
    );
    let shared = CookieRules {
        name: "session".into(),
        domain: Some("example.com".into()),
        same_site: SameSite::Strict,
        set_by: SetBy::Anything,
    };
    assert_eq!(
        shared.set(&secret),
        format!("session={value}; Path=/; Domain=example.com; HttpOnly; SameSite=Strict")
    );
}

#[test]
fn upstreams_neither_get_nor_set_the_cookie() {
    let own = format!("{NAME}={}", secret(7).expose());
    let strip = |field: &str| {
        let kept = rules().strip(field.as_bytes());
        kept.map(|kept| String::from_utf8(kept).expect("text"))
    };
    assert_eq!(strip("a=b; c=d"), None);
    assert_eq!(strip(&format!("x{own}")), None);
    assert_eq!(strip(&own).as_deref(), Some(""));
    assert_eq!(strip(&format!("a=b; {own}; c=d")).as_deref(), Some("a=b; c=d"));
    assert_eq!(strip(&format!("{own}; a=b; {own}; {NAME}; {NAME} =x")).as_deref(), Some("a=b"));
    assert!(rules().is_set_by(format!("{own}; Path=/").as_bytes()));
    assert!(rules().is_set_by(format!(" {NAME} = x").as_bytes()));
    assert!(!rules().is_set_by(format!("other={own}").as_bytes()));
}

proptest! {
    #[test]
    fn secret_is_read_as_it_was_given_out(bits in any::<[u8; 32]>()) {
        let secret = SessionSecret::from_random(bits);
        let read = SessionSecret::parse(secret.expose().as_bytes()).expect("it reads");
        prop_assert_eq!(read.id(), secret.id());
        let id = secret.id();
        prop_assert_eq!(SessionId::parse(&id.to_string()), Some(id));
        prop_assert!(id.to_string() != secret.expose());
    }

    #[test]
    fn what_is_stripped_is_not_found(field in "[ -~]{0,40}", place in 0..3_usize) {
        let own = format!("{NAME}={}", SessionSecret::from_random([1; 32]).expose());
        let field = match place {
            0 => format!("{own};{field}"),
            1 => format!("{field};{own}"),
            _ => format!("{field}; {own} ;{field}"),
        };
        let kept = rules().strip(field.as_bytes()).expect("it is there");
        let kept = HeaderValue::from_bytes(&kept).expect("a header value");
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, kept);
        prop_assert!(matches!(rules().find(&headers), Ok(None)));
    }
}
