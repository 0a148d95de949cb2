//! Claims as providers really issue them: `null`, of another type, or somebody else's; and what is said of
//! them in the log and to the client.

mod log;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use portcullis::gate::denial::REASON_BYTES_MAX;
use serde_json::{Map, Value, json};

use crate::harness::client::{Answer, get};
use crate::harness::fleet;
use crate::harness::gateway::{Gateway, standard};
use crate::harness::tokens::{AUDIENCE, bearer, claims, now, pair, token};
use crate::harness::upstream::Upstream;

/// A token of exactly this header and payload, signed by the standard issuer.
fn exact(header: &Value, payload: &str) -> String {
    let key = EncodingKey::from_ec_pem(pair().private.as_bytes()).expect("a private key");
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let input = format!("{}.{}", encode(&header.to_string()), encode(payload));
    let signature = jsonwebtoken::crypto::sign(input.as_bytes(), &key, Algorithm::ES256);
    format!("{input}.{}", signature.expect("a signature"))
}

/// A good token with these claims in place of its own; `null` stays `null`.
fn with(changes: Value) -> String {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    let all: Map<_, _> = claims().into_iter().chain(changes).collect();
    exact(&json!({"alg": "ES256", "typ": "at+jwt"}), &json!(all).to_string())
}

/// Asks with a token, and gives the answer with its line of the access log.
fn ask(gateway: &Gateway, path: &str, token: &str) -> (Answer, Value) {
    let id = format!("r-{}", fastrand::u32(..));
    let fields = [("Authorization", &*bearer(token)), ("X-Request-Id", &id)];
    let answer = gateway.exchange(get(path, &fields));
    (answer, gateway.logged(|line| line["request_id"] == *id))
}

/// The slug of a refusal, what the client is told of it, and what the log says.
#[track_caller]
fn refusal(gateway: &Gateway, path: &str, token: &str) -> (String, String, String) {
    let (answer, line) = ask(gateway, path, token);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (answer.slug(), text(&answer.json()["detail"]), text(&line["reason"]))
}

#[track_caller]
fn assert_says(said: (String, String, String), slug: &str, detail: &str, reason: &str) {
    assert_eq!(said, (slug.to_owned(), detail.to_owned(), reason.to_owned()));
}

// ---- null, and another type

#[test]
fn claim_that_is_null_counts_as_absent() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    for name in [
        "scope",
        "scp",
        "jti",
        "sid",
        "azp",
        "client_id",
        "cid",
        "appid",
        "nbf",
        "roles",
        "email",
        "auth_time",
    ] {
        assert_eq!(gateway.get_as("/whoami", &with(json!({ name: null }))).status, 200, "{name}");
    }
    let header = json!({"alg": "ES256", "kid": null, "typ": null});
    assert_eq!(
        gateway.get_as("/whoami", &exact(&header, &json!(claims()).to_string())).status,
        200
    );
    // The other spelling is read where the first says nothing.
    let scp = with(json!({"scope": null, "scp": "orders:read"}));
    assert_eq!(gateway.get_as("/orders/7", &scp).status, 200);
    // Absent is not there: what a route asks for is missing.
    let (slug, ..) = refusal(&gateway, "/orders/7", &with(json!({"scope": null})));
    assert_eq!(slug, "scope_missing");
    let (slug, ..) = refusal(&gateway, "/orders/7", &with(json!({"roles": null})));
    assert_eq!(slug, "role_missing");
    for name in ["exp", "iss", "aud", "sub"] {
        let told = format!("the claim `{name}` is missing");
        let said = refusal(&gateway, "/whoami", &with(json!({ name: null })));
        assert_says(said, "token_claims", &told, &told);
    }
    let (slug, ..) = refusal(&gateway, "/whoami", &with(json!({"iat": null})));
    assert_eq!(slug, "token_lifetime", "without a date it counts as issued in 1970");
}

#[test]
fn claim_that_is_required_and_null_is_missing() {
    let upstream = Upstream::start();
    let text = standard(&upstream)
        .replace("algorithms: [ES256]", "algorithms: [ES256]\n    required_claims: [jti, tenant]");
    let gateway = Gateway::start(&text);
    let good = json!({"tenant": "acme"});
    assert_eq!(gateway.get_as("/whoami", &with(good)).status, 200);
    for name in ["jti", "tenant"] {
        let mut changes = json!({"tenant": "acme"});
        changes[name] = Value::Null;
        let told = format!("the claim `{name}` is missing");
        let said = refusal(&gateway, "/whoami", &with(changes));
        assert_says(said, "token_claims", &told, &told);
    }
}

#[test]
fn scopes_and_roles_of_another_type_are_refused_only_where_a_route_asks() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    for (changes, told, header) in [
        (json!({"roles": [1]}), "the claim `/roles` is a list with a number in it", "x-auth-roles"),
        (
            json!({"roles": ["clerk", 1]}),
            "the claim `/roles` is a list with a number in it",
            "x-auth-roles",
        ),
        (json!({"roles": {"clerk": {}}}), "the claim `/roles` is an object", "x-auth-roles"),
        (json!({"scope": 7}), "the claim `scope` is a number", "x-auth-scopes"),
        (
            json!({"scope": ["orders:read", null]}),
            "the claim `scope` is a list with null in it",
            "x-auth-scopes",
        ),
        (json!({"scope": null, "scp": true}), "the claim `scp` is a boolean", "x-auth-scopes"),
    ] {
        let token = with(changes.clone());
        assert_eq!(gateway.get_as("/whoami", &token).status, 200, "{changes}");
        assert!(upstream.last().values(header).is_empty(), "nobody is told a part of it");
        let (slug, detail, reason) = refusal(&gateway, "/orders/7", &token);
        assert_eq!(slug, "token_claims", "{changes}");
        assert!(detail.starts_with(told) && reason.starts_with(told), "{reason} of {changes}");
    }
    assert_eq!(gateway.get_as("/orders/7", &with(json!({"roles": ["clerk"]}))).status, 200);
}

/// Whoever is named by a number can be cut off by that number.
#[test]
fn number_is_an_id_by_which_a_token_can_be_cut_off() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let accepts =
        |claims: &Value| fleet::ask(&gateway, &with(claims.clone())) == fleet::Verdict::Accepted;
    for (claim, draft) in [
        (json!({"jti": 1234}), json!({"scope": "token", "jti": "1234", "issuer": "test"})),
        (json!({"sid": u64::MAX}), json!({"scope": "session", "session": u64::MAX.to_string()})),
        (json!({"client_id": -7}), json!({"scope": "client", "client": "-7"})),
    ] {
        let name = claim.as_object().and_then(|claim| claim.keys().next()).expect("a claim");
        assert!(accepts(&claim), "{claim}");
        assert_eq!(fleet::post(&gateway, &draft).status, 201, "{draft}");
        assert!(!accepts(&claim), "{draft} does not hit {claim}");
        assert!(accepts(&json!({ name: 1235 })), "{draft} hits another");
    }
    let whole = with(json!({"jti": 99}));
    let answer = fleet::post(&gateway, &json!({"scope": "token", "token": whole}));
    assert_eq!((answer.status, &answer.json()["jti"]), (201, &json!("99")));
    assert!(!accepts(&json!({"jti": 99})));
}

/// What could not be revoked is not accepted.
#[test]
fn id_that_nobody_could_name_is_refused() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    // One more than the greatest number that is read exactly.
    let payload = json!(with_claim("jti", json!(0))).to_string();
    let beyond = payload.replace("\"jti\":0", "\"jti\":18446744073709551616");
    assert_ne!(payload, beyond);
    let beyond = exact(&json!({"alg": "ES256"}), &beyond);
    let told = "the claim `jti` is a number that is not whole, or longer than 64 bits; \
                expected a string or a whole number";
    assert_says(refusal(&gateway, "/whoami", &beyond), "token_claims", told, told);
    assert_eq!(gateway.get_as("/whoami", &with(json!({"jti": u64::MAX}))).status, 200);
    for name in ["jti", "sid", "client_id"] {
        for (value, found) in [
            (json!(1.5), "a number that is not whole"),
            (json!(true), "a boolean"),
            (json!(["a"]), "a list"),
            (json!({}), "an object"),
        ] {
            let (slug, detail, reason) =
                refusal(&gateway, "/whoami", &with(json!({ name: value })));
            let told = format!("the claim `{name}` is {found}");
            assert_eq!(slug, "token_claims", "{name}: {value}");
            assert!(reason.starts_with(&told) && detail == reason, "{reason}");
        }
    }
    // The first that is there says who the client is; nobody looks at the others.
    let unread = with(json!({"client_id": "c", "azp": ["a"]}));
    assert_eq!(gateway.get_as("/whoami", &unread).status, 200);
    assert_eq!(refusal(&gateway, "/whoami", &with(json!({"azp": ["a"]}))).0, "token_claims");
}

fn with_claim(name: &str, value: Value) -> Map<String, Value> {
    let mut all = claims();
    all.insert(name.to_owned(), value);
    all
}

// ---- which claim, and what came

#[test]
fn claim_at_fault_is_named_to_the_client_and_what_came_to_the_log() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let at = |seconds: i64| now() + seconds;
    for (claims, slug, detail, reason) in [
        (
            json!({"aud": "billing"}),
            "token_audience",
            "the claim `aud` names none of the audiences that are accepted",
            format!("the claim `aud` is `billing`; accepted: `{AUDIENCE}`"),
        ),
        (
            json!({"aud": ["billing", "mail", "c", "d", "e"]}),
            "token_audience",
            "the claim `aud` names none of the audiences that are accepted",
            format!("the claim `aud` is `billing`, `mail`, `c` and 2 more; accepted: `{AUDIENCE}`"),
        ),
        (
            json!({"iss": "https://other.test"}),
            "token_issuer",
            "the claim `iss` names no issuer that is accepted",
            "the claim `iss` is `https://other.test`, and no issuer of that name is configured"
                .to_owned(),
        ),
        (
            json!({"iat": at(-700), "exp": at(-600)}),
            "token_expired",
            "the claim `exp` has passed",
            "the claim `exp` passed 10m".to_owned(),
        ),
        (
            json!({"nbf": at(3600)}),
            "token_not_yet_valid",
            "the claim `nbf` lies in the future",
            "the claim `nbf` lies ".to_owned(),
        ),
        (
            json!({"iat": at(3600), "exp": at(7200)}),
            "token_not_yet_valid",
            "the claim `iat` lies in the future",
            "the claim `iat` lies ".to_owned(),
        ),
        (
            json!({"exp": "soon"}),
            "token_claims",
            "the claim `exp` is a string; expected seconds since 1970",
            "the claim `exp` is a string".to_owned(),
        ),
    ] {
        let said = refusal(&gateway, "/whoami", &with(claims.clone()));
        assert_eq!((said.0.as_str(), said.1.as_str()), (slug, detail), "{claims}");
        assert!(said.2.starts_with(&reason), "{} of {claims}", said.2);
    }
}

#[test]
fn claim_that_is_repeated_is_named() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let header = json!({"alg": "ES256"});
    for repeated in ["aud", "sub", "custom"] {
        let twice = format!("{{\"{repeated}\":\"billing\",\"{repeated}\":\"mail\",");
        let mut others = claims();
        others.remove(repeated);
        let payload = json!(others).to_string().replacen('{', &twice, 1);
        let (slug, detail, reason) = refusal(&gateway, "/whoami", &exact(&header, &payload));
        let told = format!("the claims are not a strict JSON object: `{repeated}` is repeated");
        assert_eq!(slug, "token_claims");
        assert!(detail.starts_with(&told) && reason.starts_with(&told), "{detail}, {reason}");
        assert!(!detail.contains("billing") && !detail.contains("mail"), "{detail}");
    }
}

#[test]
fn lifetime_that_is_too_long_is_told_with_both_durations() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let lives = |seconds: i64| with(json!({"iat": now(), "exp": now() + seconds}));
    assert_eq!(gateway.get_as("/whoami", &lives(24 * 3600)).status, 200);
    let now = now();
    let long = with(json!({"iat": now, "exp": now + 26 * 3600}));
    let (slug, detail, reason) = refusal(&gateway, "/whoami", &long);
    assert_eq!(slug, "token_lifetime");
    assert_eq!(detail, "the claim `exp` is too long after `iat`");
    assert_eq!(reason, "the token's lifetime is 26h, and max_lifetime is 24h");
    let over = with(json!({"iat": now, "exp": now + 24 * 3600 + 1}));
    let (slug, _, reason) = refusal(&gateway, "/whoami", &over);
    assert_eq!(slug, "token_lifetime");
    assert_eq!(reason, "the token's lifetime is 24h1s, and max_lifetime is 24h");
    let (_, _, reason) = refusal(&gateway, "/whoami", &with(json!({"iat": null})));
    assert!(
        reason.starts_with("the claim `iat` is missing, so the token counts as issued in 1970")
    );
}

#[test]
fn header_that_is_refused_is_named() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let payload = json!(claims()).to_string();
    for (header, slug, reason) in [
        (json!({"alg": "none"}), "token_algorithm", "the algorithm `none` is not known"),
        (
            json!({"alg": "ES384"}),
            "token_algorithm",
            "the algorithm `ES384` is not accepted from `test`; accepted: `ES256`",
        ),
        (json!({"alg": "ES256", "crit": ["b64"]}), "token_critical", "the header has `crit`"),
        (
            json!({"alg": "ES256", "typ": "dpop+jwt"}),
            "token_type",
            "the type is `dpop+jwt`; accepted: `jwt`, `at+jwt`",
        ),
        (
            json!({"alg": "ES256", "kid": 7}),
            "token_malformed",
            "`kid` in the token's header is a number",
        ),
        (json!({"typ": "JWT"}), "token_malformed", "the token's header has no `alg`"),
    ] {
        let said = refusal(&gateway, "/whoami", &exact(&header, &payload));
        assert_eq!(said.0, slug, "{header}");
        assert!(said.2.starts_with(reason), "{} of {header}", said.2);
    }
}

#[test]
fn what_a_route_requires_and_is_not_held_is_named() {
    let upstream = Upstream::start();
    let text = standard(&upstream)
        + "  - name: acme\n    match: { path: /acme }\n    upstream: behind\n    authenticate: [bearer]\n    \
           require: { claims: { tenant: [acme] } }\n";
    let gateway = Gateway::start(&text);
    let said = refusal(&gateway, "/orders/7", &with(json!({"scope": "mail"})));
    assert_eq!(
        (said.0.as_str(), said.2.as_str()),
        ("scope_missing", "the caller does not have the scope `orders:read`")
    );
    let said = refusal(&gateway, "/orders/7", &with(json!({"roles": ["guest"]})));
    assert_eq!(said.0, "role_missing");
    assert_eq!(said.2, "the caller has none of the roles: `clerk`, `admin`");
    for (tenant, told) in [
        (json!(null), "the claim `tenant` is missing"),
        (json!("initech"), "the claim `tenant` does not have an accepted value"),
    ] {
        let said = refusal(&gateway, "/acme", &with(json!({ "tenant": tenant })));
        assert_says(said, "claim_mismatch", told, told);
    }
    assert_eq!(gateway.get_as("/acme", &with(json!({"tenant": "acme"}))).status, 200);
}
