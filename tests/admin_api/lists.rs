//! Who is cut off, page by page, and the bound on how many there may be.

use super::*;
use crate::harness::client::{Connection, exchange, get, request};
use crate::harness::eventually;

#[test]
fn list_tells_of_each_revocation_what_was_answered_when_it_was_made() {
    let api = AdminApi::start();
    assert_eq!(api.list(""), json!({"total": 0, "offset": 0, "revocations": [], "lifts": []}));
    let draft = json!({
        "scope": "subject", "subject": "alice", "issuer": "test", "actor": "ops", "reason": "a drill",
    });
    let mut answer = api.revoke(draft);
    let told = answer.as_object_mut().expect("an object");
    for name in ["position", "durable", "elapsed_ms"] {
        assert!(told.remove(name).is_some(), "{name}");
    }
    let listed = json!({"total": 1, "offset": 0, "revocations": [answer], "lifts": []});
    assert_eq!(api.list(""), listed);
}

/// The ids of a page's sessions.
fn sessions(page: &Value) -> Vec<&str> {
    let revocations = page["revocations"].as_array().expect("a list");
    revocations.iter().map(|one| one["session"].as_str().unwrap_or("-")).collect()
}

#[test]
fn pages_follow_each_other_without_gaps_and_each_tells_the_total() {
    let api = AdminApi::start();
    let all: Vec<_> = (0..5).map(|number| format!("s-{number}")).collect();
    for session in &all {
        api.revoke(json!({"scope": "session", "session": session}));
    }
    for (query, expected) in [
        ("", &all[..]),
        ("?limit=5", &all[..]),
        ("?limit=2", &all[..2]),
        ("?offset=2&limit=2", &all[2..4]),
        ("?offset=4", &all[4..]),
        ("?offset=5", &[]),
        ("?offset=18446744073709551615", &[]),
        ("?limit=0", &[]),
        ("?limit=18446744073709551615", &all[..]),
    ] {
        let page = api.list(query);
        assert_eq!(sessions(&page), expected, "{query}");
        assert_eq!(page["total"], 5, "{query}");
    }
}

#[test]
fn those_that_expire_first_stand_first_and_those_that_stay_stand_last() {
    let api = AdminApi::start();
    api.revoke(json!({"scope": "key", "key": "one"}));
    api.revoke(json!({"scope": "session", "session": "s-1"}));
    api.revoke(json!({"scope": "token", "token": mint_by_two(json!({"exp": now() + 100}))}));
    api.revoke(json!({"scope": "everything", "before": now() - 7200}));
    let page = api.list("");
    let kinds = page["revocations"].as_array().expect("a list").iter();
    let kinds: Vec<_> = kinds.map(|one| one["scope"].as_str().expect("a scope")).collect();
    assert_eq!(kinds, ["token", "everything", "session", "key"]);
}

#[test]
fn page_holds_at_most_a_thousand() {
    let api = AdminApi::start();
    let mut connection = Connection::open(api.gateway.admin());
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    for number in 0..1001 {
        let draft = format!("{{\"scope\":\"session\",\"session\":\"s-{number}\"}}");
        let answer = connection.exchange(request("POST", "/v1/revocations", &fields, &draft));
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    for (query, expected) in [("", 1000), ("?limit=1001", 1000), ("?offset=1000", 1)] {
        let page = api.list(query);
        assert_eq!((sessions(&page).len(), &page["total"]), (expected, &json!(1001)), "{query}");
    }
}

#[test]
fn question_for_a_page_that_makes_no_sense_is_a_bad_request() {
    let api = AdminApi::start();
    for query in ["?offset=-1", "?limit=many", "?page=2", "?offset=1&offset=2", "?limit=1.5"] {
        let path = format!("/v1/revocations{query}");
        let answer = exchange(api.gateway.admin(), get(&path, &[("Host", "localhost")]));
        refused(&answer);
    }
}

#[test]
fn spent_revocation_is_listed_no_more() {
    let api = AdminApi::start();
    // It can be accepted for the clock skew after its end.
    let token = mint(json!({"iat": now() - 60, "exp": now() - 28}));
    api.revoke(json!({"scope": "token", "token": token}));
    assert_eq!(api.total(), 1);
    eventually("its end", || (api.total() == 0).then_some(()));
}

// ---- the bound

#[test]
fn revocation_beyond_the_bound_is_507_and_in_force_nowhere() {
    let api = AdminApi::start_with("revocation: { max_entries: 3 }");
    let subject = |number: i32| json!({"scope": "subject", "subject": format!("user-{number}")});
    let token = |number: i32| mint(json!({"sub": format!("user-{number}"), "iat": now() - 5}));
    for number in 0..3 {
        api.revoke(subject(number));
    }
    let answer = fleet::post(&api.gateway, &subject(3));
    assert_eq!((answer.status, answer.slug().as_str()), (507, "revocation_list_full"));
    let problem = answer.json();
    assert_eq!((&problem["durable"], &problem["status"]), (&json!(false), &json!(507)));
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("max_entries")));
    let accepted = [0, 1, 2, 3].map(|number| api.accepts(&token(number)));
    assert_eq!(accepted, [false, false, false, true]);
    assert_eq!(api.total(), 3);
}

#[test]
fn bound_that_a_reload_raises_makes_room() {
    let api = AdminApi::start_with("revocation: { max_entries: 1 }");
    let everything = json!({"scope": "everything"});
    api.revoke(everything.clone());
    assert_eq!(fleet::post(&api.gateway, &everything).status, 507);
    let text = std::fs::read_to_string(api.gateway.file()).expect("the configuration");
    std::fs::write(api.gateway.file(), text.replace("max_entries: 1 ", "max_entries: 2 "))
        .expect("a file");
    api.gateway.signal("HUP");
    eventually("room", || (fleet::post(&api.gateway, &everything).status == 201).then_some(()));
    assert_eq!(fleet::post(&api.gateway, &everything).status, 507);
}

// ---- the gateways

#[test]
fn gateways_are_told_with_their_name_and_how_far_they_are() {
    let api = AdminApi::start_with("");
    let answer = api.revoke(json!({"scope": "everything", "wait_ms": 5000}));
    assert_eq!((&answer["confirmed"], &answer["gateways"]), (&json!(1), &json!(1)), "{answer}");
    let told = fleet::admin(&api.gateway, "/v1/gateways").expect("the gateways");
    assert_eq!(told["position"], answer["position"]);
    let [gateway] = &told["gateways"].as_array().expect("a list")[..] else { panic!("{told}") };
    let members: Vec<_> = gateway.as_object().expect("an object").keys().collect();
    let known = [
        "clock_ahead_ms",
        "differs_in",
        "follows",
        "id",
        "lag",
        "name",
        "position",
        "silent_ms",
        "version",
    ];
    assert_eq!(members, known);
    assert_eq!(gateway["differs_in"], json!([]), "from itself");
    assert_eq!(gateway["clock_ahead_ms"], json!(null), "its store has no clock but ours");
    assert_eq!(gateway["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&gateway["position"], &gateway["lag"]), (&answer["position"], &json!(0)));
    assert!(gateway["silent_ms"].as_u64().is_some_and(|silent| silent < 20_000), "{gateway}");
}
