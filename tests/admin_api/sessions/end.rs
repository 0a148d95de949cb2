//! The end of one session, and of all that a subject has.

use super::*;

#[test]
fn ended_session_is_refused_at_once_and_others_go_on() {
    let (_upstream, gateway) = start();
    let [gone, other] = [(); 2].map(|()| Browser::log_in(&gateway, "alice"));
    assert!(gone.is_in(&gateway) && other.is_in(&gateway));
    let told = end(&gateway, &format!("/v1/sessions/{}?reason=a%20drill&actor=ops", gone.id));
    assert!(!gone.is_in(&gateway) && other.is_in(&gateway));
    for (name, value) in [
        ("scope", json!("session")),
        ("session", json!(gone.id)),
        ("subject", json!("alice")),
        ("issuer", json!("gateway")),
        ("reason", json!("a drill")),
        ("actor", json!("ops")),
        ("position", json!(1)),
        ("durable", json!(true)),
        ("issued_until", Value::Null),
    ] {
        assert_eq!(told[name], value, "{name} of {told}");
    }
    assert!(told["elapsed_ms"].is_number() && told["confirmed"].is_null(), "{told}");
    assert_eq!(ids(&sessions(&gateway, "subject=alice")), [other.id]);
    assert_eq!(ended(&gateway), 1.0);
    let listed = fleet::admin(&gateway, "/v1/revocations").expect("the list");
    assert_eq!(listed["revocations"][0]["session"], gone.id, "{listed}");
}

#[test]
fn session_that_is_not_there_is_404_and_nothing_is_written_down() {
    let (_upstream, gateway) = start();
    let browser = Browser::log_in(&gateway, "alice");
    let secret = browser.cookie.split_once('=').expect("a value").1;
    end(&gateway, &format!("/v1/sessions/{}", browser.id));
    // The value of a cookie could be an id.
    for id in [NOBODYS, secret, &browser.id] {
        let answer = ask(&gateway, "DELETE", &format!("/v1/sessions/{id}"));
        assert_eq!((answer.status, &*answer.slug()), (404, "session_unknown"), "{answer:?}");
    }
    assert_eq!((total(&gateway), ended(&gateway)), (json!(1), 1.0));
    assert_eq!(audited(&gateway).len(), 1);
}

#[test]
fn what_cannot_be_an_id_is_bad_request() {
    let (_upstream, gateway) = start();
    let (short, long) = (&NOBODYS[1..], format!("{NOBODYS}A"));
    // The last has bits left over.
    let odd = format!("{short}B");
    for id in ["x", short, &long, &odd, "%00", "%FF", "__Host-session=x"] {
        let told = refusal(&gateway, "DELETE", &format!("/v1/sessions/{id}"));
        assert!(told.contains("not the id of a session"), "{id}: {told}");
    }
    assert_eq!(total(&gateway), 0);
}

#[test]
fn all_sessions_of_a_subject_are_ended_and_counted() {
    let (_upstream, gateway) = start();
    let alice = [(); 3].map(|()| Browser::log_in(&gateway, "alice"));
    let bob = Browser::log_in(&gateway, "bob");
    let told = end(&gateway, "/v1/sessions?subject=alice&reason=a%20drill&actor=ops");
    for browser in &alice {
        assert!(!browser.is_in(&gateway), "{browser:?}");
    }
    assert!(bob.is_in(&gateway));
    for (name, value) in [
        ("scope", json!("subject")),
        ("subject", json!("alice")),
        ("issuer", json!("gateway")),
        ("reason", json!("a drill")),
        ("actor", json!("ops")),
        ("ended", json!(3)),
        ("position", json!(1)),
        ("durable", json!(true)),
    ] {
        assert_eq!(told[name], value, "{name} of {told}");
    }
    assert!(sessions(&gateway, "subject=alice").is_empty());
    assert_eq!(ended(&gateway), 3.0);
    // Whoever comes back is welcome, from the next second on.
    eventually("a session that lasts", || {
        Browser::log_in(&gateway, "alice").is_in(&gateway).then_some(())
    });
}

#[test]
fn subject_without_sessions_has_none_to_end() {
    let (_upstream, gateway) = start();
    assert_eq!(end(&gateway, "/v1/sessions?subject=alice")["ended"], 0);
    assert_eq!(ended(&gateway), 0.0);
}

#[test]
fn tokens_of_others_than_the_login_are_left_alone() {
    let (_upstream, gateway) = start();
    let token = fleet::token_of("alice");
    end(&gateway, "/v1/sessions?subject=alice");
    assert_eq!(fleet::ask(&gateway, &token), Verdict::Accepted);
    let told = refusal(&gateway, "DELETE", "/v1/sessions?subject=alice&issuer=test");
    assert!(told.contains("sessions here do not come from `"), "{told}");
    assert!(told.contains("`; revoke the subject instead"), "{told}");
    assert_eq!(fleet::ask(&gateway, &token), Verdict::Accepted);
}
