//! Every way to say no, provoked over the wire, and told alike in body, log and metric.

mod connection;
mod gateways;
mod page;
mod rows;
mod token_endpoint;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use portcullis::gate::denial::Slug;
use serde_json::{Value, json};

use self::gateways::DenialGateways;
use self::rows::{Held, Row, SOME_SECONDS, rows};
use self::token_endpoint::OF_TOKENS;
use crate::harness::client::{Answer, get, request};

/// What was seen of one row.
struct Observed {
    row: Row,
    answer: Answer,
    /// The line in the access log.
    line: Value,
    /// The series that changed, and by how much.
    counted: BTreeMap<String, f64>,
}

/// Each row provoked once on one gateway; the tests look at different sides of it.
fn observed() -> &'static [Observed] {
    static OBSERVED: OnceLock<Vec<Observed>> = OnceLock::new();
    OBSERVED.get_or_init(|| {
        let gateways = DenialGateways::start();
        let observe = |row: Row| {
            let before = gateways.decisions(&row);
            let answer = gateways.connect_for(&row).exchange(row.bytes(&[], ""));
            let id = answer.json()["request_id"].clone();
            // A request is counted before it is logged.
            let line = gateways.gateway_for(&row).logged(|line| line["request_id"] == id);
            let counted = gateways.decisions(&row).into_iter().filter_map(|(series, value)| {
                let change = value - before.get(&series).copied().unwrap_or_default();
                (change != 0.0).then_some((series, change))
            });
            Observed { counted: counted.collect(), row, answer, line }
        };
        gateways.rows().into_iter().map(observe).collect()
    })
}

#[test]
fn every_slug_but_internal_is_provoked() {
    let rows = rows(&Held::default());
    let of_tokens = OF_TOKENS.iter().map(|(slug, ..)| *slug);
    let provoked = rows.iter().map(|row| row.slug).chain(["internal"]).chain(of_tokens);
    let provoked: BTreeSet<_> = provoked.collect();
    let all: BTreeSet<_> = Slug::ALL.iter().map(|slug| slug.as_str()).collect();
    assert_eq!(provoked, all);
}

/// The slugs that tell the client more, such as the claim that is at fault.
const DETAILED: [&str; 9] = [
    "credential_malformed",
    "token_malformed",
    "token_issuer",
    "token_audience",
    "token_expired",
    "token_not_yet_valid",
    "token_lifetime",
    "token_claims",
    "claim_mismatch",
];

#[test]
fn denial_is_told_as_problem_details() {
    for Observed { row, answer, .. } in observed() {
        assert_eq!(answer.status, row.status, "{}: {answer:?}", row.slug);
        assert_eq!(answer.slug(), row.slug);
        let id = answer.json()["request_id"].clone();
        let title = Slug::ALL.iter().find(|slug| slug.as_str() == row.slug).expect("known").title();
        let mut expected = json!({
            "type": format!("urn:portcullis:denial:{}", row.slug),
            "title": title,
            "status": row.status,
            "slug": row.slug,
            "request_id": id,
        });
        if let Some(detail) = row.detail {
            expected["detail"] = detail.into();
        } else if DETAILED.contains(&row.slug) {
            expected["detail"] = answer.json()["detail"].clone();
            assert!(expected["detail"].is_string(), "{}: {answer:?}", row.slug);
        }
        assert_eq!(answer.json(), expected, "{}", row.slug);
        assert!(id.as_str().is_some_and(|id| id.len() == 32), "{}: {id}", row.slug);
    }
}

#[test]
fn denial_carries_its_challenge_and_is_not_stored() {
    for Observed { row, answer, .. } in observed() {
        assert_eq!(answer.field("www-authenticate"), row.challenge, "{}", row.slug);
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{}", row.slug);
        for name in ["allow", "retry-after"] {
            let expected = row.field.filter(|(field, _)| *field == name).map(|(_, value)| value);
            let told = answer.field(name);
            let is_some = |told: &str| told.parse::<u32>().is_ok_and(|seconds| seconds > 0);
            let told = match expected {
                Some(SOME_SECONDS) => told.filter(|told| is_some(told)).map(|_| SOME_SECONDS),
                Some(_) | None => told,
            };
            assert_eq!(told, expected, "{}: {name} in {answer:?}", row.slug);
        }
    }
}

#[test]
fn denial_says_nothing_about_the_gateway_itself() {
    for Observed { row, answer, .. } in observed() {
        for name in ["server", "x-powered-by", "via"] {
            assert_eq!(answer.field(name), None, "{}: {name}", row.slug);
        }
    }
}

#[test]
fn denial_is_logged_under_its_slug() {
    for Observed { row, line, .. } in observed() {
        for (member, expected) in [
            ("slug", json!(row.slug)),
            ("status", json!(row.status)),
            ("outcome", json!(row.outcome)),
            ("route", json!(row.route)),
            ("carrier", json!(row.carrier)),
        ] {
            assert_eq!(line[member], expected, "{}: {member} in {line}", row.slug);
        }
    }
}

#[test]
fn denial_is_counted_once_and_under_its_labels() {
    for Observed { row, counted, .. } in observed() {
        let Row { slug, outcome, route, carrier, .. } = row;
        let series = format!(
            "portcullis_decisions_total{{carrier=\"{carrier}\",outcome=\"{outcome}\",\
             route=\"{route}\",slug=\"{slug}\"}}"
        );
        assert_eq!(*counted, BTreeMap::from([(series, 1.0)]), "{slug}");
    }
}

// ---- nobody else answers

/// Pingora has answers of its own for what it cannot read: they carry no slug, and nobody logs or
/// counts them. What it would answer must be refused before, or not at all.
#[test]
fn odd_request_is_answered_by_nobody_but_the_gateway() {
    let gateways = DenialGateways::start();
    let public = |fields: &[(&str, &str)]| get("/public/a", fields);
    let mut silent = Vec::new();
    for (what, bytes) in [
        ("CONNECT to a path", request("CONNECT", "/public/a", &[], "")),
        ("CONNECT to an authority", request("CONNECT", "gateway.test:80", &[], "")),
        ("OPTIONS of the server", request("OPTIONS", "*", &[], "")),
        ("a method of its own", request("FROBNICATE", "/public/a", &[], "")),
        ("a method in lower case", request("get", "/public/a", &[], "")),
        ("a bracket in the path", get("/public/<a>", &[])),
        ("a quote in the query", get("/public/a?b=\"", &[])),
        ("a bracket in the query", get("/public/a?b=<", &[])),
        ("a backtick in the path", get("/public/`", &[])),
        ("an absolute target without a path", get("http://gateway.test", &[])),
        ("an absolute target with a bracket", get("http://gateway.test/public/<", &[])),
        ("an opaque target", get("mailto:a@b", &[])),
        ("an empty host", public(&[("Host", "")])),
        ("a host with a bracket", public(&[("Host", "<a>")])),
        ("a host with a space", public(&[("Host", "a b")])),
        ("a host that is a list", public(&[("Host", "a, b")])),
        ("HTTP/1.0", public(&[]).replace("HTTP/1.1", "HTTP/1.0")),
        ("an empty header", public(&[("X-Empty", "")])),
        ("a header beyond ASCII", public(&[("X-Latin", "caf\u{e9}")])),
        ("a header with an odd name", public(&[("!#$%&'*+-.^_`|~", "a")])),
        ("a nominated Host", public(&[("Connection", "host")])),
        ("a nominated X-Forwarded-For", public(&[("Connection", "x-forwarded-for")])),
        ("a nomination that is no name", public(&[("Connection", "\"a\"")])),
        ("a nominated pseudo-header", public(&[("Connection", ":authority")])),
        ("many nominations", public(&[("Connection", &"a,".repeat(200))])),
        ("an odd expectation", public(&[("Expect", "a miracle")])),
        ("an upgrade to HTTP/2", public(&[("Connection", "Upgrade"), ("Upgrade", "h2c")])),
        ("a bad chunk", public(&[("Transfer-Encoding", "chunked")]) + "zz\r\n\r\n"),
    ] {
        let mut connection = gateways.connect();
        connection.send(&bytes);
        let Some(answer) = connection.answer() else {
            silent.push(format!("{what}: no answer"));
            continue;
        };
        let is_ours = answer.status == 200
            || answer.field("content-type") == Some("application/problem+json");
        if !is_ours {
            silent.push(format!("{what}: {} {:?}", answer.status, answer.fields));
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}
