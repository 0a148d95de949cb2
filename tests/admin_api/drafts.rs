//! What makes no sense is refused, with what would, and nothing is written.

use super::*;

const DAY_S: i64 = 86_400;

/// Each of these is refused, and this is told.
#[track_caller]
fn each_is_refused<'t>(api: &AdminApi, cases: impl IntoIterator<Item = (Value, &'t str)>) {
    for (draft, told) in cases {
        let detail = api.refuse(&draft);
        assert!(detail.contains(told), "{draft}: {detail}");
    }
    assert_eq!(api.total(), 0, "nothing was written");
    assert!(api.gateway.log().is_empty(), "nothing was logged");
}

#[test]
fn scope_is_one_of_those_that_are_known() {
    let known = "expected one of `token`, `session`, `subject`, `client`, `key`, `issuer`, \
                 `everything`";
    each_is_refused(
        &AdminApi::start(),
        [
            (json!({}), "missing field `scope`"),
            (json!({"subject": "alice"}), "missing field `scope`"),
            (json!({"scope": "user", "subject": "alice"}), known),
            (json!({"scope": "Subject", "subject": "alice"}), known),
            (json!({"scope": ""}), known),
            (json!({"scope": null}), "scope"),
            (json!({"scope": ["everything"]}), "scope"),
            (json!({"scope": 7}), "scope"),
        ],
    );
}

#[test]
fn unknown_field_is_refused() {
    each_is_refused(
        &AdminApi::start(),
        [
            (json!({"scope": "everything", "colour": "red"}), "unknown field `colour`"),
            (json!({"scope": "everything", "Reason": "x"}), "unknown field `Reason`"),
            // What is told of a revocation is not what makes one.
            (json!({"scope": "everything", "issued_until": "x"}), "unknown field `issued_until`"),
            (json!({"scope": "everything", "expires_at": 0}), "unknown field `expires_at`"),
        ],
    );
}

#[test]
fn field_that_is_given_twice_is_refused() {
    let api = AdminApi::start();
    for body in [
        r#"{"scope":"subject","subject":"alice","subject":"bob"}"#,
        r#"{"scope":"everything","scope":"subject","subject":"alice"}"#,
    ] {
        let answer = post(&api.gateway, &[("Content-Type", "application/json")], body);
        assert!(refused(&answer).contains("duplicate field"), "{answer:?}");
    }
    assert_eq!(api.total(), 0);
}

#[test]
fn whom_it_is_about_must_be_said() {
    each_is_refused(
        &AdminApi::start(),
        [
            (json!({"scope": "token"}), "`issuer` is missing: ids of tokens are the issuer's own"),
            (json!({"scope": "token", "jti": "t-1"}), "`issuer` is missing"),
            (json!({"scope": "token", "issuer": "test"}), "`jti` is missing"),
            (json!({"scope": "session"}), "`session` is missing"),
            (json!({"scope": "subject"}), "`subject` is missing"),
            (json!({"scope": "subject", "issuer": "test"}), "`subject` is missing"),
            (json!({"scope": "subject", "subject": null}), "`subject` is missing"),
            (json!({"scope": "client"}), "`client` is missing"),
            (json!({"scope": "key", "issuer": "test"}), "`key` is missing"),
            (json!({"scope": "issuer"}), "`issuer` is missing"),
        ],
    );
}

/// The scopes with an id, each with its field.
fn with_id() -> [(Value, &'static str); 5] {
    [
        (json!({"scope": "token", "issuer": "test"}), "jti"),
        (json!({"scope": "session"}), "session"),
        (json!({"scope": "subject"}), "subject"),
        (json!({"scope": "client"}), "client"),
        (json!({"scope": "key"}), "key"),
    ]
}

fn set(mut draft: Value, field: &str, value: impl Into<Value>) -> Value {
    draft[field] = value.into();
    draft
}

#[test]
fn id_has_from_one_to_1024_bytes() {
    let api = AdminApi::start();
    for (draft, field) in with_id() {
        each_is_refused(
            &api,
            [
                (set(draft.clone(), field, ""), &*format!("`{field}` is empty")),
                (
                    set(draft.clone(), field, "x".repeat(1025)),
                    &*format!("`{field}` is longer than 1024 bytes"),
                ),
                // Bytes, not characters.
                (
                    set(draft.clone(), field, "é".repeat(513)),
                    &*format!("`{field}` is longer than 1024 bytes"),
                ),
            ],
        );
        assert!(api.refuse(&set(draft, field, 7)).contains("invalid type: integer `7`"));
    }
    let ids = ["x".to_owned(), "x".repeat(1024), "\u{0}\n\u{1b}[2J\u{202e}".to_owned()];
    for (draft, field) in with_id() {
        // A key has to be there.
        let directory = directory();
        let keys: Vec<_> = ids.iter().map(|id| jwk(pair(), id)).collect();
        let keys = json!({ "keys": keys }).to_string();
        std::fs::write(directory.path().join("jwks.json"), keys).expect("a file");
        let api = AdminApi::start_in(directory, "");
        for id in &ids {
            let answer = api.revoke(set(draft.clone(), field, id.as_str()));
            assert_eq!(answer[field], *id);
        }
    }
}

#[test]
fn field_of_another_scope_is_refused() {
    let api = AdminApi::start();
    for (draft, own) in with_id() {
        for (_, other) in with_id() {
            if own == other {
                continue;
            }
            let both = set(set(draft.clone(), own, "x"), other, "y");
            let told = format!("`{other}` does not belong to this scope");
            each_is_refused(&api, [(both, told.as_str())]);
        }
    }
    let strange = "does not belong to this scope";
    each_is_refused(
        &api,
        [
            (json!({"scope": "everything", "subject": "alice"}), strange),
            (json!({"scope": "everything", "issuer": "test"}), strange),
            (json!({"scope": "issuer", "issuer": "test", "subject": "alice"}), strange),
            (json!({"scope": "session", "session": "s", "issuer": "test"}), strange),
            (json!({"scope": "client", "client": "c", "issuer": "test"}), strange),
            (json!({"scope": "subject", "subject": "alice", "token": "x"}), strange),
            // One that is empty is one nevertheless.
            (json!({"scope": "everything", "subject": ""}), strange),
        ],
    );
}

#[test]
fn issuer_is_known_by_its_name_or_its_iss_and_else_the_known_are_named() {
    let api = AdminApi::start();
    let known = "known are: partner, test";
    for issuer in ["tset", "", "https://issuer.test/", "HTTPS://ISSUER.TEST", "Test"] {
        for draft in [
            json!({"scope": "issuer"}),
            json!({"scope": "token", "jti": "t-1"}),
            json!({"scope": "subject", "subject": "alice"}),
            json!({"scope": "key", "key": "one"}),
        ] {
            each_is_refused(&api, [(set(draft, "issuer", issuer), known)]);
        }
    }
    for (named, iss) in [("test", ISSUER), (ISSUER, ISSUER), ("partner", PARTNER)] {
        let answer = api.revoke(json!({"scope": "issuer", "issuer": named}));
        assert_eq!(answer["issuer"], iss);
    }
}

/// Either could be meant, and the wrong one would be cut off.
#[test]
fn issuer_that_is_called_as_another_calls_itself_is_refused() {
    let upstream = Upstream::start();
    let text = configuration(&upstream).replace(PARTNER, "test");
    let gateway = Gateway::start_in(directory(), &text);
    let refused = |issuer: &str| {
        refused(&fleet::post(&gateway, &json!({"scope": "issuer", "issuer": issuer})))
    };
    let told = "`test` is the `iss` of one issuer and the name of another";
    assert_eq!(refused("test"), told);
    let answer = fleet::post(&gateway, &json!({"scope": "issuer", "issuer": "partner"}));
    assert_eq!(answer.json()["issuer"], "test");
}

// ---- before

#[test]
fn cut_off_of_what_has_none_is_refused() {
    let before = |draft: Value| set(draft, "before", now());
    let told = "`before` has no effect on one token or session";
    each_is_refused(
        &AdminApi::start(),
        [
            (before(json!({"scope": "token", "jti": "t-1", "issuer": "test"})), told),
            (before(json!({"scope": "token", "token": mint(json!({}))})), told),
            (before(json!({"scope": "session", "session": "s-1"})), told),
        ],
    );
}

fn date(seconds: i64) -> String {
    let since = std::time::Duration::from_secs(u64::try_from(seconds).expect("after 1970"));
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string()
}

#[test]
fn cut_off_is_seconds_or_rfc_3339() {
    let api = AdminApi::start();
    let then = now() - 100;
    let text = date(then);
    let fraction = text.replace('Z', ".999Z");
    for before in [json!(then), json!(text), json!(fraction)] {
        let answer = api.revoke(set(json!({"scope": "everything"}), "before", before));
        assert_eq!(seconds(&answer["issued_until"]), then);
    }
}

#[test]
fn what_is_no_time_is_refused_and_the_forms_are_named() {
    let api = AdminApi::start();
    let shift = date(now() - 100).replace('Z', "+02:00");
    for before in ["", "yesterday", "1h ago", "2026-13-01T00:00:00Z", "2026-01-01", "1", &shift] {
        let draft = set(json!({"scope": "everything"}), "before", before);
        let told = format!(
            "`before`: `{before}` is not a time; write 2026-01-31T12:00:00Z or seconds since 1970"
        );
        each_is_refused(&api, [(draft, told.as_str())]);
    }
    for before in [json!(1.5), json!(true), json!([1]), json!({}), json!(10_f64.powi(30))] {
        let draft = set(json!({"scope": "everything"}), "before", before);
        let told = "`before` is not a time; write 2026-01-31T12:00:00Z or seconds since 1970";
        each_is_refused(&api, [(draft, told)]);
    }
}

#[test]
fn cut_off_before_1970_is_refused() {
    let draft = set(json!({"scope": "everything"}), "before", -1);
    each_is_refused(&AdminApi::start(), [(draft, "`before` is before 1970")]);
}

#[test]
fn cut_off_lies_at_most_a_day_ahead() {
    let told = "`before` is more than a day ahead";
    let draft = |before: Value| set(json!({"scope": "everything"}), "before", before);
    let api = AdminApi::start();
    each_is_refused(
        &api,
        [
            // Ten seconds for a machine that is busy.
            (draft(json!(now() + DAY_S + 10)), told),
            (draft(json!(i64::MAX)), told),
            (draft(json!("9999-12-31T23:59:59Z")), told),
        ],
    );
    let ahead = now() + DAY_S;
    let answer = api.revoke(draft(json!(ahead)));
    assert_eq!(seconds(&answer["issued_until"]), ahead);
    assert!(!api.accepts(&mint(json!({}))), "nobody can log in until then");
}

/// It would be accepted, and cut nobody off.
#[test]
fn cut_off_so_old_that_nothing_is_alive_is_refused() {
    // The longest life of a token, and the clock skew at both ends.
    const LIFE_S: i64 = DAY_S + 60;
    let api = AdminApi::start();
    let told = "everything that was issued until then has expired already";
    let draft = |before: i64| set(json!({"scope": "everything"}), "before", before);
    each_is_refused(&api, [(draft(0), told), (draft(now() - LIFE_S), told)]);
    let key = json!({"scope": "key", "key": "one", "before": now() - LIFE_S});
    each_is_refused(&api, [(key, told)]);
    // Ten seconds for a machine that is busy.
    api.revoke(draft(now() - LIFE_S + 10));
}

// ---- who, why, how long

#[test]
fn reason_and_actor_are_bounded() {
    let everything = || json!({"scope": "everything"});
    let api = AdminApi::start();
    each_is_refused(
        &api,
        [
            (set(everything(), "reason", "x".repeat(513)), "`reason` is longer than 512 bytes"),
            (set(everything(), "actor", "x".repeat(129)), "`actor` is longer than 128 bytes"),
            (set(everything(), "reason", 7), "invalid type: integer `7`"),
            (set(everything(), "actor", json!(["ops"])), "invalid type: sequence"),
        ],
    );
    api.revoke(set(everything(), "reason", "x".repeat(512)));
    api.revoke(set(everything(), "actor", "x".repeat(128)));
}

#[test]
fn wait_is_a_number_of_milliseconds() {
    let everything = || json!({"scope": "everything"});
    each_is_refused(
        &AdminApi::start(),
        [
            (set(everything(), "wait_ms", -1), "wait_ms"),
            (set(everything(), "wait_ms", "2s"), "wait_ms"),
            (set(everything(), "wait_ms", 1.5), "wait_ms"),
            (set(everything(), "wait_ms", 2_f64.powi(70)), "wait_ms"),
        ],
    );
}

// ---- the body

#[test]
fn body_that_is_no_json_object_is_refused() {
    let api = AdminApi::start();
    for body in [
        "",
        " ",
        "{",
        "[]",
        "null",
        "\"everything\"",
        "scope=everything",
        r#"{"scope":"everything"} x"#,
        r#"{"scope":"everything"}{"scope":"everything"}"#,
        r#"{'scope':'everything'}"#,
        "{\"scope\":\"everything\",\"reason\":\"\u{1}\"}",
        r#"{"scope":"everything","reason":"\ud800"}"#,
    ] {
        let answer = post(&api.gateway, &[("Content-Type", "application/json")], body);
        refused(&answer);
    }
    let deep = format!("{{\"scope\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    refused(&post(&api.gateway, &[("Content-Type", "application/json")], &deep));
    assert_eq!(api.total(), 0);
}

#[test]
fn body_is_json_by_its_type() {
    let api = AdminApi::start();
    let body = r#"{"scope":"everything"}"#;
    for kind in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(post(&api.gateway, &[("Content-Type", kind)], body).status, 201, "{kind}");
    }
}

#[test]
fn body_over_64_kib_is_refused() {
    let api = AdminApi::start();
    let json = [("Content-Type", "application/json")];
    let body = |length: usize| {
        let draft = r#"{"scope":"everything"}"#;
        format!("{draft}{}", " ".repeat(length - draft.len()))
    };
    assert_eq!(post(&api.gateway, &json, &body(64 * 1024)).status, 201);
    let detail = refused(&post(&api.gateway, &json, &body(64 * 1024 + 1)));
    assert!(detail.contains("limit"), "{detail}");
    assert_eq!(api.total(), 1);
}
