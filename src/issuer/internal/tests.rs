use serde_json::Value;

use super::*;
use crate::gate::forward::{IdentityTemplate, OwnedName};
use crate::gate::session::{
    CookieRules, LoginDetails, Origins, SameSite, Session, SessionId, SessionKind, SessionRecord,
    SessionRules, SessionTerms, SetBy, StoredSession,
};
use crate::gate::token::Token;
use crate::issuer::key_pairs::{KeyKind, generate_pkcs8};

const BEGUN: i64 = 1_000_000;

fn name(text: &str) -> OwnedName {
    OwnedName::new(text).expect("a name")
}

fn rules() -> SessionRules {
    let identity = IdentityTemplate {
        subject: name("X-Subject"),
        issuer: name("X-Issuer"),
        scopes: name("X-Scopes"),
        roles: name("X-Roles"),
        session: name("X-Session"),
        claims: Vec::new(),
    };
    let terms = SessionTerms {
        cookie: CookieRules {
            name: "__Host-session".into(),
            domain: None,
            same_site: SameSite::Lax,
            set_by: SetBy::Secure,
        },
        idle_max_s: 1800,
        lifetime_max_s: 43_200,
        outlived_s: 43_200,
        api_key_lifetime_max_s: 43_200,
        recheck_ms: 5000,
        origins: Origins(Vec::new()),
        asked_claims: vec!["email".into(), "/org/unit".into(), "iss".into()],
        identity: Arc::new(identity),
        identity_bytes_max: 8192,
    };
    SessionRules::new(terms, None)
}

/// A user whose login ends this many seconds after the beginning.
fn authentic(lives_s: i64) -> Arc<Authentic> {
    let claims = json!({"email": "a@b.c", "org": {"unit": 7}, "iss": "mallory", "other": 1});
    let Value::Object(claims) = claims else { panic!("an object") };
    let created = UnixTime::from_seconds(BEGUN);
    let record = SessionRecord {
        kind: SessionKind::Login(LoginDetails {
            family: "f".into(),
            user_agent: "".into(),
            address: "".into(),
        }),
        subject: "alice".into(),
        issuer: "https://idp.example".into(),
        method: "password".into(),
        roles: vec!["clerk".into()],
        scopes: vec!["a".into(), "b".into()],
        claims,
        created,
        ends: created.plus(lives_s),
        idle_s: 1800,
    };
    let stored = StoredSession { record, last_seen: created };
    let id = SessionId::from_bytes([1; 32]);
    let session = Session::compile(id, &stored, &rules(), SteadyTime::default());
    session.authentic().clone()
}

fn wanted(header: TokenHeader, bytes_max: usize) -> InternalToken {
    let claims = vec!["email".into(), "/org/unit".into(), "iss".into()];
    let audience = "orders".into();
    InternalToken::new(InternalTokenTerms { audience, header, lifetime_s: 60, claims, bytes_max })
}

fn signer() -> Signer {
    Signer::from_pkcs8(&generate_pkcs8(KeyKind::P256).expect("a key")).expect("signs")
}

/// This many milliseconds after the beginning, on both clocks.
fn at(ms: u64) -> Moment {
    let seconds = i64::try_from(ms / 1000).expect("small");
    Moment {
        wall: UnixTime::from_seconds(BEGUN + seconds),
        steady: SteadyTime::from_millis(5_000_000 + ms),
        ..Moment::default()
    }
}

fn value(
    tokens: &InternalTokens,
    who: &Authentic,
    wanted: &InternalToken,
    signer: &Signer,
    now: Moment,
) -> (String, Minted) {
    let made = tokens.value(who, wanted, "https://gateway.example", signer, now);
    let (value, minted) = made.expect("a token");
    (value.to_str().expect("text").to_owned(), minted)
}

#[test]
fn token_says_who_the_caller_is_and_no_claim_takes_the_place_of_another() {
    let (tokens, who, signer) = (InternalTokens::default(), authentic(43_200), signer());
    let (text, _) = value(&tokens, &who, &wanted(TokenHeader::Authorization, 4096), &signer, at(0));
    let text = text.strip_prefix("Bearer ").expect("a scheme");
    let token = Token::parse(text, 4096).expect("parses");
    assert_eq!(token.header().token_type.as_deref(), Some("internal+jwt"));
    let claims = Value::Object(token.claims().expect("claims"));
    let expected = json!({
        "iss": "https://gateway.example",
        "aud": "orders",
        "sub": "alice",
        "idp": "https://idp.example",
        "iat": BEGUN,
        "exp": BEGUN + 60,
        "jti": claims["jti"],
        "scope": "a b",
        "roles": ["clerk"],
        "sid": SessionId::from_bytes([1; 32]).to_string(),
        "email": "a@b.c",
        "unit": 7,
    });
    assert_eq!(claims, expected);
    assert_eq!(claims["jti"].as_str().map(str::len), Some(22));
}

#[test]
fn header_of_its_own_carries_the_token_alone() {
    let (tokens, who, signer) = (InternalTokens::default(), authentic(43_200), signer());
    let own = wanted(TokenHeader::Own(name("X-Identity")), 4096);
    let (text, _) = value(&tokens, &who, &own, &signer, at(0));
    assert!(Token::parse(&text, 4096).is_ok(), "{text}");
}

#[test]
fn token_is_used_until_a_quarter_of_its_life_is_left() {
    let (tokens, who, signer) = (InternalTokens::default(), authentic(43_200), signer());
    let wanted = wanted(TokenHeader::Authorization, 4096);
    let (first, minted) = value(&tokens, &who, &wanted, &signer, at(0));
    assert_eq!(minted, Minted::Now);
    assert_eq!(value(&tokens, &who, &wanted, &signer, at(44_999)), (first.clone(), Minted::Before));
    let (second, minted) = value(&tokens, &who, &wanted, &signer, at(45_000));
    assert_eq!(minted, Minted::Now);
    assert_ne!(second, first);
}

#[test]
fn step_of_the_wall_clock_keeps_no_token_alive() {
    let (tokens, who, signer) = (InternalTokens::default(), authentic(43_200), signer());
    let wanted = wanted(TokenHeader::Authorization, 4096);
    value(&tokens, &who, &wanted, &signer, at(0));
    let back = Moment { wall: UnixTime::from_seconds(BEGUN - 300), ..at(45_000) };
    assert_eq!(value(&tokens, &who, &wanted, &signer, back).1, Minted::Now);
    let ahead = Moment { wall: UnixTime::from_seconds(BEGUN + 300), ..at(46_000) };
    assert_eq!(value(&tokens, &who, &wanted, &signer, ahead).1, Minted::Now);
}

#[test]
fn token_does_not_outlive_what_it_was_made_of() {
    let (tokens, who, signer) = (InternalTokens::default(), authentic(20), signer());
    let wanted = wanted(TokenHeader::Own(name("X-Identity")), 4096);
    let (text, _) = value(&tokens, &who, &wanted, &signer, at(0));
    let token = Token::parse(&text, 4096).expect("parses");
    assert_eq!(token.claims().expect("claims")["exp"], json!(BEGUN + 20));
    assert_eq!(value(&tokens, &who, &wanted, &signer, at(14_999)).1, Minted::Before);
    assert_eq!(value(&tokens, &who, &wanted, &signer, at(15_000)).1, Minted::Now);
}

#[test]
fn principal_audience_and_key_each_have_a_token_of_their_own() {
    let (tokens, signer) = (InternalTokens::default(), signer());
    let (one, other) = (authentic(43_200), authentic(43_200));
    let (here, there) =
        (wanted(TokenHeader::Authorization, 4096), wanted(TokenHeader::Authorization, 4096));
    value(&tokens, &one, &here, &signer, at(0));
    assert_eq!(value(&tokens, &other, &here, &signer, at(0)).1, Minted::Now);
    assert_eq!(value(&tokens, &one, &there, &signer, at(0)).1, Minted::Now);
    assert_eq!(value(&tokens, &one, &here, &signer, at(0)).1, Minted::Before);
    assert_eq!(value(&tokens, &one, &here, &self::signer(), at(0)).1, Minted::Now);
}

#[test]
fn token_that_is_too_long_is_none() {
    let (tokens, who, signer) = (InternalTokens::default(), authentic(43_200), signer());
    let own = |bytes_max| wanted(TokenHeader::Own(name("X-Identity")), bytes_max);
    let length = value(&tokens, &who, &own(4096), &signer, at(0)).0.len();
    assert_eq!(value(&tokens, &who, &own(length), &signer, at(0)).0.len(), length);
    let wanted = own(length - 1);
    for _ in 0..2 {
        let made = tokens.value(&who, &wanted, "https://gateway.example", &signer, at(0));
        assert!(matches!(made, Err(InternalTokenError::TooLarge)), "{made:?}");
    }
}
