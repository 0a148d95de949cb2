//! Browsers that navigate get a page or are sent to log in; everybody else gets problem details.

use serde_json::json;

use super::gateways::DenialGateways;
use super::rows::Row;
use crate::harness::client::get;

const NAVIGATION: [(&str, &str); 2] =
    [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"), ("Sec-Fetch-Mode", "navigate")];

#[test]
fn browser_that_navigates_gets_a_small_page() {
    let gateways = DenialGateways::start();
    // What is wrong with a login in JSON is told in JSON.
    let is_page = |row: &&Row| row.is_sound() && !row.is_sent_to_login() && row.detail.is_none();
    for row in gateways.rows().iter().filter(is_page) {
        let answer = gateways.connect_for(row).exchange(row.bytes(&NAVIGATION, ""));
        assert_eq!(answer.status, row.status);
        assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"), "{}", row.slug);
        assert!(answer.body.starts_with("<!doctype html>"), "{}", answer.body);
        assert!(answer.body.contains(row.slug) && answer.body.len() < 2048, "{}", answer.body);
    }
}

#[test]
fn page_carries_what_the_problem_details_carry_beside_the_body() {
    let gateways = DenialGateways::start();
    for row in gateways.rows().iter().filter(|row| row.is_sound() && !row.is_sent_to_login()) {
        let answer = gateways.connect_for(row).exchange(row.bytes(&NAVIGATION, ""));
        assert_eq!(answer.field("www-authenticate"), row.challenge, "{}", row.slug);
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{}", row.slug);
    }
}

/// What it lacks is a login; the slug stands in the log all the same.
#[test]
fn browser_without_a_session_that_counts_is_sent_to_log_in() {
    let gateways = DenialGateways::start();
    let rows = gateways.rows();
    let rows: Vec<_> = rows.iter().filter(|row| row.is_sent_to_login()).collect();
    assert_eq!(rows.len(), 3);
    for row in rows {
        let answer = gateways.connect_for(row).exchange(row.bytes(&NAVIGATION, ""));
        assert_eq!((answer.status, answer.body.as_str()), (302, ""), "{answer:?}");
        assert_eq!(answer.field("location"), Some("/auth/login?return_to=/home"), "{answer:?}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{answer:?}");
        // Another browser may have the cookie that is good; this one keeps what it has.
        assert_eq!(answer.field("set-cookie"), None, "{answer:?}");
        let line = gateways
            .gateway_for(row)
            .logged(|line| line["status"] == 302 && line["slug"] == row.slug);
        assert_eq!((&line["outcome"], &line["route"]), (&json!("denied"), &json!("home")));
    }
}

#[test]
fn script_gets_problem_details_whatever_it_accepts() {
    let gateways = DenialGateways::start();
    for mode in ["cors", "no-cors", "same-origin", "websocket"] {
        let fields = [("Accept", "text/html"), ("Sec-Fetch-Mode", mode)];
        let answer = gateways.connect().exchange(get("/orders/7", &fields));
        assert_eq!(answer.slug(), "credential_absent", "{mode}");
    }
}

#[test]
fn program_that_does_not_ask_for_html_gets_problem_details() {
    let gateways = DenialGateways::start();
    for accept in ["*/*", "application/json", ""] {
        let answer = gateways.connect().exchange(get("/orders/7", &[("Accept", accept)]));
        assert_eq!(answer.slug(), "credential_absent", "{accept}");
    }
}

#[test]
fn page_repeats_nothing_that_the_browser_was_made_to_send() {
    let gateways = DenialGateways::start();
    let script = "<script>alert(1)</script>";
    for field in ["X-Request-Id", "Authorization", "User-Agent", "Referer"] {
        let [accept, mode] = NAVIGATION;
        let path = "/nowhere/%3Cscript%3Ealert(1)";
        let answer = gateways.connect().exchange(get(path, &[accept, mode, (field, script)]));
        assert_eq!(answer.status, 404);
        assert!(!answer.body.contains("alert"), "{field}: {}", answer.body);
    }
}
