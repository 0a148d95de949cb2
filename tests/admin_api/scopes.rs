//! What each scope hits, and what it does not.

use super::*;

/// Who is cut off by one draft.
struct Case {
    draft: Value,
    hits: Vec<String>,
    misses: Vec<String>,
}

fn cases() -> Vec<Case> {
    let partner = |mut claims: Value| {
        claims["iss"] = json!(PARTNER);
        mint(claims)
    };
    let case = |draft, hits, misses| Case { draft, hits, misses };
    vec![
        case(
            json!({"scope": "token", "jti": "t-1", "issuer": "test"}),
            vec![mint(json!({"jti": "t-1"})), mint_by_two(json!({"jti": "t-1", "sub": "bob"}))],
            vec![
                mint(json!({"jti": "t-2"})),
                partner(json!({"jti": "t-1"})),
                mint(json!({"jti": null})),
            ],
        ),
        case(
            json!({"scope": "session", "session": "s-1"}),
            vec![mint(json!({"sid": "s-1"})), partner(json!({"sid": "s-1", "sub": "bob"}))],
            vec![mint(json!({"sid": "s-2"})), mint(json!({})), mint(json!({"jti": "s-1"}))],
        ),
        case(
            json!({"scope": "subject", "subject": "alice"}),
            vec![mint(json!({})), partner(json!({})), mint(json!({"client_id": "c"}))],
            vec![
                mint(json!({"sub": "bob"})),
                mint(json!({"sub": "alice "})),
                mint(json!({"sub": "Alice"})),
            ],
        ),
        case(
            json!({"scope": "subject", "subject": "alice", "issuer": ISSUER}),
            vec![mint(json!({})), mint_by_two(json!({}))],
            vec![partner(json!({})), mint(json!({"sub": "bob"}))],
        ),
        case(
            json!({"scope": "client", "client": "c-1"}),
            vec![mint(json!({"client_id": "c-1"})), partner(json!({"azp": "c-1"}))],
            vec![
                mint(json!({})),
                mint(json!({"client_id": "c-2"})),
                mint(json!({"client_id": "c-2", "azp": "c-1"})),
                mint(json!({"sub": "c-1"})),
            ],
        ),
        case(
            json!({"scope": "key", "key": "one"}),
            vec![mint(json!({})), partner(json!({})), mint(json!({"sub": "bob"}))],
            vec![mint_by_two(json!({})), mint_by_two(json!({"iss": PARTNER}))],
        ),
        case(
            json!({"scope": "key", "key": "one", "issuer": "partner"}),
            vec![partner(json!({}))],
            vec![mint(json!({})), mint_by_two(json!({"iss": PARTNER}))],
        ),
        case(
            json!({"scope": "issuer", "issuer": "partner"}),
            vec![partner(json!({})), mint_by_two(json!({"iss": PARTNER, "sub": "bob"}))],
            vec![mint(json!({})), mint_by_two(json!({}))],
        ),
        case(
            json!({"scope": "everything"}),
            vec![
                mint(json!({})),
                partner(json!({"sub": "bob"})),
                mint_by_two(json!({"jti": null})),
            ],
            vec![],
        ),
    ]
}

#[test]
fn next_request_of_whom_a_scope_hits_is_refused_and_of_nobody_else() {
    for Case { draft, hits, misses } in cases() {
        let api = AdminApi::start();
        // Seen before, so that it is not what is verified anew that decides.
        for token in hits.iter().chain(&misses) {
            assert!(api.accepts(token), "{draft}");
        }
        api.revoke(draft.clone());
        for (number, token) in hits.iter().enumerate() {
            assert!(!api.accepts(token), "{draft} lets hit {number} in");
        }
        for (number, token) in misses.iter().enumerate() {
            assert!(api.accepts(token), "{draft} cuts miss {number} off");
        }
    }
}

#[test]
fn log_says_which_scope_cuts_off_and_from_when() {
    let before = now();
    for Case { draft, hits, .. } in cases() {
        let api = AdminApi::start();
        api.revoke(draft.clone());
        assert!(!api.accepts(&hits[0]), "{draft}");
        let line = api.gateway.logged(|line| line["slug"] == "token_revoked");
        let scope = draft["scope"].as_str().expect("a scope");
        let reason = line["reason"].as_str().unwrap_or_default();
        let rest = reason.strip_prefix(&format!("a revocation of the scope `{scope}` hits "));
        let rest = rest.unwrap_or_else(|| panic!("{line}"));
        if ["token", "session", "key"].contains(&scope) {
            assert_eq!(rest, "it, whatever its time", "{line}");
            continue;
        }
        let numbers = rest.split(|character: char| !character.is_ascii_digit());
        let numbers: Vec<i64> = numbers.filter_map(|number| number.parse().ok()).collect();
        let [cut_off, dated] = numbers[..] else { panic!("{line}") };
        assert!(before <= cut_off && cut_off <= now() && dated <= cut_off, "{line}");
    }
}

#[test]
fn token_that_was_never_seen_before_is_refused_as_well() {
    let api = AdminApi::start();
    api.revoke(json!({"scope": "subject", "subject": "alice"}));
    assert!(!api.accepts(&mint(json!({"iat": now() - 5}))));
}

#[test]
fn answer_tells_what_was_written() {
    let api = AdminApi::start();
    let common = ["actor", "durable", "elapsed_ms", "expires_at", "issued_until", "position"];
    for (number, Case { draft, .. }) in cases().into_iter().enumerate() {
        let answer = api.revoke(draft.clone());
        assert_eq!((&answer["durable"], &answer["position"]), (&json!(true), &json!(number + 1)));
        assert!(answer["elapsed_ms"].as_f64().is_some_and(|took| took >= 0.0), "{answer}");
        let written = seconds(&answer["written_at"]);
        assert!((0..=20).contains(&(now() - written)), "{answer}");
        for (name, value) in draft.as_object().expect("an object") {
            let told = if name == "issuer" { &json!(iss(value)) } else { value };
            assert_eq!(&answer[name], told, "{name} of {answer}");
        }
        let mut expected: Vec<_> =
            common.iter().copied().chain(["id", "reason", "written_at"]).collect();
        expected.extend(draft.as_object().expect("an object").keys().map(String::as_str));
        if matches!(draft["scope"].as_str(), Some("subject" | "key")) {
            // `null` for whoever issued it.
            expected.push("issuer");
        }
        expected.sort_unstable();
        expected.dedup();
        let members: Vec<_> = answer.as_object().expect("an object").keys().collect();
        assert_eq!(members, expected, "nothing else is told");
    }
}

/// The issuer that is meant by a name or an `iss`.
fn iss(named: &Value) -> &str {
    match named.as_str().expect("text") {
        "test" => ISSUER,
        "partner" => PARTNER,
        iss => iss,
    }
}

#[test]
fn who_and_why_are_told_again() {
    let api = AdminApi::start();
    let answer = api.revoke(json!({"scope": "everything", "actor": "ops", "reason": "a drill"}));
    assert_eq!((&answer["actor"], &answer["reason"]), (&json!("ops"), &json!("a drill")));
    let answer = api.revoke(json!({"scope": "everything"}));
    assert_eq!((&answer["actor"], &answer["reason"]), (&json!("admin"), &json!("")));
}

#[test]
fn only_who_waits_is_told_who_has_confirmed() {
    let api = AdminApi::start();
    let draft = |wait: Value| json!({"scope": "subject", "subject": "bob", "wait_ms": wait});
    for wait in [json!(null), json!(0), json!(5_000), json!(u64::MAX)] {
        let answer = api.revoke(draft(wait.clone()));
        assert!(answer.get("missing").is_none() || wait == 0, "{answer}");
        if wait.is_null() {
            assert!(answer.get("confirmed").is_none() && answer.get("gateways").is_none());
        } else {
            assert_eq!(answer["gateways"], 1, "{answer}");
        }
        if wait.as_u64() > Some(0) {
            assert_eq!(answer["confirmed"], 1, "{answer}");
        }
    }
}

// ---- the cut-off

/// The scopes that have one, each with what it hits.
fn with_cut_off() -> Vec<(Value, Value)> {
    vec![
        (json!({"scope": "subject", "subject": "alice"}), json!({"sub": "alice"})),
        (json!({"scope": "client", "client": "c-1"}), json!({"client_id": "c-1"})),
        (json!({"scope": "key", "key": "one"}), json!({})),
        (json!({"scope": "issuer", "issuer": "test"}), json!({})),
        (json!({"scope": "everything"}), json!({})),
    ]
}

/// A token of these claims that was issued then.
fn issued(claims: &Value, at: i64) -> String {
    let mut claims = claims.clone();
    claims["iat"] = json!(at);
    mint(claims)
}

#[test]
fn what_was_issued_in_the_second_of_the_cut_off_is_cut_off_and_the_next_second_is_not() {
    for (draft, claims) in with_cut_off() {
        let now = now();
        let date = humantime::format_rfc3339_seconds(
            std::time::UNIX_EPOCH
                + std::time::Duration::from_secs(u64::try_from(now - 100).expect("seconds")),
        );
        for before in [json!(now - 100), json!(date.to_string())] {
            let api = AdminApi::start();
            let tokens = [-101, -100, -99].map(|seconds| issued(&claims, now + seconds));
            let mut draft = draft.clone();
            draft["before"] = before;
            let answer = api.revoke(draft.clone());
            assert_eq!(seconds(&answer["issued_until"]), now - 100, "{answer}");
            let accepted = tokens.each_ref().map(|token| api.accepts(token));
            assert_eq!(accepted, [false, false, true], "{draft}");
        }
    }
}

#[test]
fn cut_off_is_now_unless_it_is_named() {
    for (draft, claims) in with_cut_off() {
        if draft["scope"] == "key" {
            continue;
        }
        let api = AdminApi::start();
        let earliest = now();
        let answer = api.revoke(draft.clone());
        let cut_off = seconds(&answer["issued_until"]);
        assert!((earliest..=now()).contains(&cut_off), "{answer}");
        let accepted = [-1, 0, 1].map(|after| api.accepts(&issued(&claims, cut_off + after)));
        assert_eq!(accepted, [false, false, true], "{draft}");
    }
}

/// Whoever stole the key can go on signing, and write any time that they like.
#[test]
fn revoked_key_kills_what_it_signs_later_as_well() {
    let api = AdminApi::start();
    let answer = api.revoke(json!({"scope": "key", "key": "one"}));
    assert_eq!((&answer["issued_until"], &answer["expires_at"]), (&json!(null), &json!(null)));
    for after in [-3600, 0, 20] {
        assert!(!api.accepts(&issued(&json!({}), now() + after)), "{after}");
    }
    assert!(api.accepts(&mint_by_two(json!({}))));
}

#[test]
fn token_and_session_are_cut_off_whenever_they_were_issued() {
    let api = AdminApi::start();
    for (draft, claims) in [
        (json!({"scope": "token", "jti": "t-1", "issuer": ISSUER}), json!({"jti": "t-1"})),
        (json!({"scope": "session", "session": "s-1"}), json!({"sid": "s-1"})),
    ] {
        assert_eq!(api.revoke(draft)["issued_until"], json!(null));
        for after in [-3600, 20] {
            assert!(!api.accepts(&issued(&claims, now() + after)), "{claims} {after}");
        }
    }
}

#[test]
fn earlier_cut_off_takes_nothing_back() {
    let api = AdminApi::start();
    let token = issued(&json!({}), now() - 50);
    api.revoke(json!({"scope": "subject", "subject": "alice", "before": now() - 10}));
    api.revoke(json!({"scope": "subject", "subject": "alice", "before": now() - 100}));
    assert!(!api.accepts(&token));
}

/// An entry lives as long as anything that it could hit: the longest life of a token, and the
/// clock skew once for its beginning and once for its end.
#[test]
fn entry_stays_as_long_as_anything_that_it_hits_can_be_accepted() {
    const DAY_S: i64 = 86_400;
    const SKEWS_S: i64 = 60;
    let api = AdminApi::start();
    for (draft, _) in with_cut_off() {
        let mut draft = draft;
        draft["before"] = json!(now() - 1000);
        let answer = api.revoke(draft);
        let life = seconds(&answer["expires_at"]) - seconds(&answer["issued_until"]);
        assert_eq!(life, DAY_S + SKEWS_S, "{answer}");
    }
    let answer = api.revoke(json!({"scope": "session", "session": "s-1"}));
    let life = seconds(&answer["expires_at"]) - seconds(&answer["written_at"]);
    // Its issuer may go on issuing tokens for it, for a month.
    let longest = 30 * DAY_S + DAY_S + SKEWS_S;
    assert!((longest - 1..=longest).contains(&life), "{answer}");
}
