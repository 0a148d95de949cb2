//! How long revocations have to be remembered.

use super::*;
use crate::config::compile::tests::MINIMAL;
use crate::gate::revocation::Scope;

const DAY_S: i64 = 24 * 3600;

/// An access token lives for minutes, but the login that it came from for weeks.
#[test]
fn login_is_remembered_as_cut_off_for_as_long_as_its_refresh_tokens_live() {
    let (directory, text) = whole();
    let text = text.replace("max_lifetime: 90d", "max_lifetime: 1d");
    let reach = |text: &str, scope: &Scope| {
        let configuration = compiled(directory.path(), text, None);
        configuration.reaches_s(scope).into_iter().max().unwrap_or(0)
    };
    let (own, other) = ("https://api.test", "https://pem.test");
    let subject = |issuer: Option<&str>| Scope::Subject {
        issuer: issuer.map(Into::into),
        subject: "a".into(),
    };
    let key = |issuer: &str| Scope::Key { issuer: Some(issuer.into()), id: "k".into() };
    let begun = 30 * DAY_S + 600;
    for scope in [
        subject(Some(own)),
        subject(None),
        Scope::Issuer(own.into()),
        Scope::Session("s".into()),
        Scope::Client("c".into()),
        Scope::Everything,
        key(own),
    ] {
        assert_eq!(reach(&text, &scope), begun, "{scope}");
        let shorter = text.replace("absolute: 30d", "absolute: 8d");
        assert!(reach(&shorter, &scope) < begun, "{scope}");
    }
    // The tokens of other issuers are not affected.
    for scope in [subject(Some(other)), Scope::Issuer(other.into()), key(other)] {
        assert_eq!(reach(&text, &scope), DAY_S + 60, "{scope}");
    }
}

#[test]
fn api_key_is_remembered_as_cut_off_for_as_long_as_it_lives() {
    let text = format!("{MINIMAL}api_keys: {{ max_lifetime: 400d }}\n");
    let configuration = compiled(Path::new("/nowhere"), &text, None);
    let scope = Scope::Subject { issuer: Some("gateway".into()), subject: "a".into() };
    assert_eq!(configuration.reaches_s(&scope), [400 * DAY_S + 600]);
    let none = compiled(Path::new("/nowhere"), MINIMAL, None);
    assert_eq!(none.reaches_s(&scope), [0; 0]);
}
