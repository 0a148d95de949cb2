//! Refresh tokens at the endpoints: reused, ended, and in use while the store fails.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::exchange::{Ask, Response};
use super::fixture::{Fixture, Keys};
use crate::endpoints::table::TokenEndpoint;
use crate::gate::session::SessionId;
use crate::issuer::refresh::TEXT_BYTES;
use crate::store::session_end::SessionEnd;

/// An access token and a refresh token.
#[derive(Debug)]
struct Pair {
    access: String,
    refresh: String,
}

impl Pair {
    #[track_caller]
    fn of(told: &Response) -> Self {
        assert_eq!((told.status, told.slug), (200, None), "{}", told.body);
        let body = told.json();
        let text = |name: &str| body[name].as_str().expect("a text").to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }

    fn session(&self) -> SessionId {
        let part = self.access.split('.').nth(1).expect("three parts");
        let claims = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        SessionId::parse(claims["sid"].as_str().expect("a sid")).expect("an id")
    }
}

async fn log_in(fixture: &Fixture) -> Pair {
    Pair::of(&fixture.ask(&Ask::for_tokens("alice", "tokens")).await)
}

async fn refresh(fixture: &Fixture, token: &str) -> Response {
    let body = format!("grant_type=refresh_token&refresh_token={token}");
    fixture.ask(&Ask::token(TokenEndpoint::Token, body)).await
}

/// A login of which a token is about to be used twice.
async fn stolen(fixture: &Fixture) -> (Pair, Pair) {
    let first = log_in(fixture).await;
    let second = Pair::of(&refresh(fixture, &first.refresh).await);
    let third = Pair::of(&refresh(fixture, &second.refresh).await);
    (first, third)
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An earlier version marks the family as dead, and writes to the log afterwards. The login is
/// revoked once the log can be written, even without another request.
#[tokio::test]
async fn stolen_login_is_cut_off_as_soon_as_that_can_be_written_down() {
    let fixture = Fixture::with_tokens(Keys::Read).await;
    let (first, third) = stolen(&fixture).await;
    let id = first.session();
    fixture.is_earlier.store(true, Ordering::Relaxed);
    fixture.break_log(true);
    for token in [&first.refresh, &third.refresh, &first.refresh] {
        let told = refresh(&fixture, token).await;
        assert_eq!((told.status, told.slug), (503, Some("store_unavailable")), "{}", told.body);
        assert_eq!(told.json()["error"], "temporarily_unavailable");
    }
    assert!(!fixture.is_revoked(id), "the log could not be written");
    let family = fixture.refresh_families.find(id).await.expect("read").expect("it is there");
    assert!(family.is_dead);
    fixture.break_log(false);
    eventually("the cut-off", async || fixture.is_revoked(id)).await;
    eventually("the end", async || fixture.sessions.stored(id).await.expect("read").is_none())
        .await;
    let told = refresh(&fixture, &third.refresh).await;
    assert_eq!((told.status, told.slug), (400, Some("grant_invalid")), "the family is gone");
    let ended = fixture.sessions.metrics().ended(SessionEnd::RefreshReused);
    assert_eq!(ended.get(), 1, "once");
}

/// After its request the gateway can do nothing more: it does not get the response, and cannot
/// write to the log.
#[tokio::test]
async fn stolen_login_ends_in_the_step_that_finds_out() {
    let fixture = Fixture::with_tokens(Keys::Read).await;
    let (first, third) = stolen(&fixture).await;
    let id = first.session();
    fixture.break_log(true);
    fixture.is_mute.store(true, Ordering::Relaxed);
    let told = refresh(&fixture, &first.refresh).await;
    assert_eq!((told.status, told.slug), (503, Some("store_unavailable")), "{}", told.body);
    assert!(fixture.sessions.stored(id).await.expect("read").is_none());
    assert_eq!(fixture.refresh_families.find(id).await, Ok(None));
    eventually("the cut-off", async || fixture.is_revoked(id)).await;
    fixture.is_mute.store(false, Ordering::Relaxed);
    for token in [&first.refresh, &third.refresh] {
        let told = refresh(&fixture, token).await;
        assert_eq!((told.status, told.slug), (400, Some("grant_invalid")), "{}", told.body);
    }
}

#[tokio::test]
async fn stolen_login_ends_though_the_list_is_full() {
    let fixture = Fixture::with_a_full_list().await;
    let (first, third) = stolen(&fixture).await;
    let id = first.session();
    let told = refresh(&fixture, &first.refresh).await;
    assert_eq!((told.status, told.slug), (503, Some("store_unavailable")), "{}", told.body);
    assert!(!fixture.is_revoked(id), "there is no room");
    assert!(fixture.sessions.stored(id).await.expect("read").is_none());
    let told = refresh(&fixture, &third.refresh).await;
    assert_eq!((told.status, told.slug), (400, Some("grant_invalid")), "{}", told.body);
}

/// A dead family still exists if a gateway stopped before the end was complete.
#[tokio::test]
async fn dead_family_is_brought_to_its_end_by_who_finds_it() {
    for is_current in [false, true] {
        let fixture = Fixture::with_tokens(Keys::Read).await;
        let (first, third) = stolen(&fixture).await;
        let id = first.session();
        fixture.is_earlier.store(true, Ordering::Relaxed);
        fixture.is_mute.store(true, Ordering::Relaxed);
        assert_eq!(refresh(&fixture, &first.refresh).await.status, 503);
        assert!(fixture.refresh_families.find(id).await.expect("read").expect("there").is_dead);
        fixture.is_mute.store(false, Ordering::Relaxed);
        fixture.is_earlier.store(false, Ordering::Relaxed);
        let presented = if is_current { &third } else { &first };
        let told = refresh(&fixture, &presented.refresh).await;
        assert_eq!((told.status, told.slug), (400, Some("refresh_reused")), "{}", told.body);
        assert!(fixture.is_revoked(id));
        assert!(fixture.sessions.stored(id).await.expect("read").is_none());
        assert_eq!(fixture.refresh_families.find(id).await, Ok(None));
    }
}

/// It is repeated however late: the exchange is not treated as a replay, whose grace period may be
/// over.
#[tokio::test]
async fn exchange_whose_answer_was_lost_is_repeated() {
    let fixture = Fixture::with_tokens(Keys::Read).await;
    let first = log_in(&fixture).await;
    fixture.is_mute.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        let told = refresh(&fixture, &first.refresh).await;
        assert_eq!((told.status, told.slug), (503, Some("store_unavailable")), "{}", told.body);
    }
    fixture.is_mute.store(false, Ordering::Relaxed);
    let told = refresh(&fixture, &first.refresh).await;
    assert_eq!(told.status, 200, "{}", told.body);
    let counted =
        |result: &str| fixture.token_metrics.refreshes.with_label_values(&["body", result]).get();
    assert_eq!((counted("ok"), counted("replayed")), (1, 0));
    let next = told.json()["refresh_token"].as_str().expect("a token").to_owned();
    assert_eq!(refresh(&fixture, &next).await.status, 200);
}

#[tokio::test]
async fn login_whose_family_cannot_begin_leaves_no_session() {
    let fixture = Fixture::with_tokens(Keys::Read).await;
    fixture.is_barren.store(true, Ordering::Relaxed);
    for deliver in ["tokens", "both"] {
        let told = fixture.ask(&Ask::for_tokens("alice", deliver)).await;
        assert_eq!((told.status, told.slug), (503, Some("store_unavailable")), "{deliver}");
        let listed = fixture.sessions.of_subject("https://gateway.example", "a1").await;
        assert_eq!(listed.expect("listed"), [], "{deliver}");
    }
    fixture.is_barren.store(false, Ordering::Relaxed);
    log_in(&fixture).await;
}

/// The refusal comes before anything is used up.
#[tokio::test]
async fn without_a_signing_key_nothing_begins_and_nothing_is_exchanged() {
    let fixture = Fixture::with_tokens(Keys::Unread).await;
    let told = fixture.ask(&Ask::for_tokens("alice", "tokens")).await;
    assert_eq!((told.status, told.slug), (503, Some("keys_unavailable")), "{}", told.body);
    let token = "rt_".to_owned() + &"A".repeat(TEXT_BYTES - 3);
    let told = refresh(&fixture, &token).await;
    assert_eq!((told.status, told.slug), (503, Some("keys_unavailable")), "{}", told.body);
    assert_eq!(told.json()["error"], "temporarily_unavailable");
    for endpoint in [TokenEndpoint::Keys, TokenEndpoint::Metadata] {
        let told = fixture.ask(&Ask::token(endpoint, String::new())).await;
        let is_known = endpoint == TokenEndpoint::Metadata;
        assert_eq!(told.status, if is_known { 200 } else { 503 });
    }
    let listed = fixture.sessions.of_subject("https://gateway.example", "a1").await;
    assert_eq!(listed.expect("listed"), []);
}

#[tokio::test]
async fn revocation_by_a_client_that_cannot_be_written_down_is_not_told_to_be() {
    let fixture = Fixture::with_tokens(Keys::Read).await;
    let pair = log_in(&fixture).await;
    fixture.break_log(true);
    for token in [&pair.refresh, &pair.access] {
        let ask = Ask::token(TokenEndpoint::Revoke, format!("token={token}"));
        let told = fixture.ask(&ask).await;
        assert_eq!((told.status, told.slug), (503, Some("store_unavailable")), "{}", told.body);
    }
    fixture.break_log(false);
    Pair::of(&refresh(&fixture, &pair.refresh).await);
}
