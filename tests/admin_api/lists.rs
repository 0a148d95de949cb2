//! Who is cut off, page by page, and the bound on how many there may be.

use super::*;
use crate::harness::client::{Connection, exchange, get, request};
use crate::harness::eventually;

#[test]
fn list_tells_of_each_revocation_what_was_answered_when_it_was_made() {
    let scene = Scene::start();
    assert_eq!(scene.list(""), json!({"total": 0, "offset": 0, "revocations": [], "lifts": []}));
    let draft = json!({
        "scope": "subject", "subject": "alice", "issuer": "test", "actor": "ops", "reason": "a drill",
    });
    let mut answer = scene.revoke(draft);
    let told = answer.as_object_mut().expect("an object");
    for name in ["position", "durable", "elapsed_ms"] {
        assert!(told.remove(name).is_some(), "{name}");
    }
    let listed = json!({"total": 1, "offset": 0, "revocations": [answer], "lifts": []});
    assert_eq!(scene.list(""), listed);
}

/// The ids of a page's sessions.
fn sessions(page: &Value) -> Vec<&str> {
    let revocations = page["revocations"].as_array().expect("a list");
    revocations.iter().map(|one| one["session"].as_str().unwrap_or("-")).collect()
}

#[test]
fn pages_follow_each_other_without_gaps_and_each_tells_the_total() {
    let scene = Scene::start();
    let all: Vec<_> = (0..5).map(|number| format!("s-{number}")).collect();
    for session in &all {
        scene.revoke(json!({"scope": "session", "session": session}));
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
        let page = scene.list(query);
        assert_eq!(sessions(&page), expected, "{query}");
        assert_eq!(page["total"], 5, "{query}");
    }
}

#[test]
fn those_that_expire_first_stand_first_and_those_that_stay_stand_last() {
    let scene = Scene::start();
    scene.revoke(json!({"scope": "key", "key": "one"}));
    scene.revoke(json!({"scope": "session", "session": "s-1"}));
    scene.revoke(json!({"scope": "token", "token": mint_by_two(json!({"exp": now() + 100}))}));
    scene.revoke(json!({"scope": "everything", "before": now() - 7200}));
    let page = scene.list("");
    let kinds = page["revocations"].as_array().expect("a list").iter();
    let kinds: Vec<_> = kinds.map(|one| one["scope"].as_str().expect("a scope")).collect();
    assert_eq!(kinds, ["token", "everything", "session", "key"]);
}

#[test]
fn page_holds_at_most_a_thousand() {
    let scene = Scene::start();
    let mut connection = Connection::open(scene.gateway.admin());
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    for number in 0..1001 {
        let draft = format!("{{\"scope\":\"session\",\"session\":\"s-{number}\"}}");
        let answer = connection.exchange(request("POST", "/v1/revocations", &fields, &draft));
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    for (query, expected) in [("", 1000), ("?limit=1001", 1000), ("?offset=1000", 1)] {
        let page = scene.list(query);
        assert_eq!((sessions(&page).len(), &page["total"]), (expected, &json!(1001)), "{query}");
    }
}

#[test]
fn question_for_a_page_that_makes_no_sense_is_a_bad_request() {
    let scene = Scene::start();
    for query in ["?offset=-1", "?limit=many", "?page=2", "?offset=1&offset=2", "?limit=1.5"] {
        let path = format!("/v1/revocations{query}");
        let answer = exchange(scene.gateway.admin(), get(&path, &[("Host", "localhost")]));
        refused(&answer);
    }
}

#[test]
fn spent_revocation_is_listed_no_more() {
    let scene = Scene::start();
    // It can be accepted for the clock skew after its end.
    let token = mint(json!({"iat": now() - 60, "exp": now() - 28}));
    scene.revoke(json!({"scope": "token", "token": token}));
    assert_eq!(scene.total(), 1);
    eventually("its end", || (scene.total() == 0).then_some(()));
}

// ---- the bound

#[test]
fn revocation_beyond_the_bound_is_507_and_in_force_nowhere() {
    let scene = Scene::start_with("revocation: { max_entries: 3 }");
    let subject = |number: i32| json!({"scope": "subject", "subject": format!("user-{number}")});
    let token = |number: i32| mint(json!({"sub": format!("user-{number}"), "iat": now() - 5}));
    for number in 0..3 {
        scene.revoke(subject(number));
    }
    let answer = fleet::post(&scene.gateway, &subject(3));
    assert_eq!((answer.status, answer.slug().as_str()), (507, "revocation_list_full"));
    let problem = answer.json();
    assert_eq!((&problem["durable"], &problem["status"]), (&json!(false), &json!(507)));
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("max_entries")));
    let accepted = [0, 1, 2, 3].map(|number| scene.accepts(&token(number)));
    assert_eq!(accepted, [false, false, false, true]);
    assert_eq!(scene.total(), 3);
}

#[test]
fn bound_that_a_reload_raises_makes_room() {
    let scene = Scene::start_with("revocation: { max_entries: 1 }");
    let everything = json!({"scope": "everything"});
    scene.revoke(everything.clone());
    assert_eq!(fleet::post(&scene.gateway, &everything).status, 507);
    let text = std::fs::read_to_string(scene.gateway.file()).expect("the configuration");
    std::fs::write(scene.gateway.file(), text.replace("max_entries: 1 ", "max_entries: 2 "))
        .expect("a file");
    scene.gateway.signal("HUP");
    eventually("room", || (fleet::post(&scene.gateway, &everything).status == 201).then_some(()));
    assert_eq!(fleet::post(&scene.gateway, &everything).status, 507);
}

// ---- the gateways

#[test]
fn gateways_are_told_with_their_name_and_how_far_they_are() {
    let scene = Scene::start_with("");
    let answer = scene.revoke(json!({"scope": "everything", "wait_ms": 5000}));
    assert_eq!((&answer["confirmed"], &answer["gateways"]), (&json!(1), &json!(1)), "{answer}");
    let told = fleet::admin(&scene.gateway, "/v1/gateways").expect("the gateways");
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
