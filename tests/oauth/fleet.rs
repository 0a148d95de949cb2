//! One refresh token, many who exchange it at once, and what its reuse ends, on all gateways.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::{self, Answer, Connection};
use crate::harness::issuing::{
    Granted, HOME, IssuingFleet, api_key, ask, ask_with_key, assert_invalid_grant, audit,
    await_told, form, log_in, refresh, refreshes, refreshing, tokens,
};
use crate::harness::login::Login;
use crate::harness::outcome::{accepted, denied, outcome};
use crate::harness::redis::RedisServer;
use crate::harness::tokens::bearer;
use crate::harness::{eventually, fleet};

/// How many exchange one token at once.
const CROWD: usize = 100;

/// All of them may be served at the same moment, though they come from one address.
const ALL_AT_ONCE: &str = "limits: { in_flight_own: 1000 }\n";

/// Exchanges one token so many times at the same time, in turn at all gateways.
fn crowd(site: &IssuingFleet, token: &str) -> Vec<Answer> {
    let barrier = Barrier::new(CROWD);
    let gateways = site.all().len();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CROWD)
            .map(|number| {
                let (barrier, address) = (&barrier, site.at(1 + number % gateways));
                scope.spawn(move || {
                    let mut connection = Connection::open(address);
                    barrier.wait();
                    connection.exchange(refreshing(token))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    })
}

/// The sessions that a subject has.
fn sessions(site: &IssuingFleet, subject: &str) -> Vec<Value> {
    let path = format!("/v1/sessions?subject={subject}");
    let listing = eventually("the sessions", || fleet::admin(site.gateway(1), &path));
    listing["sessions"].as_array().expect("a list").clone()
}

/// Whoever exchanges the same token at the same time gets the same one for it, each with an access
/// token of their own, which all gateways take. And nothing else has come of it.
fn crowd_gets_one_successor(site: &IssuingFleet) {
    let first = Granted::log_in(site.at(1), "alice");
    let all: Vec<Granted> = crowd(site, &first.refresh).iter().map(Granted::read).collect();
    let successors: BTreeSet<_> = all.iter().map(|granted| &granted.refresh).collect();
    assert_eq!(successors.len(), 1, "{successors:?}");
    let ids: BTreeSet<_> = all.iter().map(|granted| granted.claims()["jti"].to_string()).collect();
    assert_eq!(ids.len(), CROWD, "each access token is another one");
    let families: BTreeSet<_> = all.iter().map(Granted::session).collect();
    assert_eq!(families, BTreeSet::from([first.session()]));
    for (number, granted) in all.iter().enumerate() {
        let address = site.at(1 + (number + 1) % site.all().len());
        assert_eq!(ask(address, HOME, &granted.access), accepted());
    }
    assert_eq!(sessions(site, "u-17").len(), 1);
    // The family goes on, wherever its next token is exchanged.
    let mut last = all.into_iter().next().expect("one of them");
    for number in 1..=site.all().len() {
        last = last.next(site.at(number));
    }
    assert_eq!(ask(site.at(1), HOME, &last.access), accepted());
}

#[test]
fn hundred_refreshes_of_one_token_over_three_gateways_get_one_successor() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, ALL_AT_ONCE, 3);
    crowd_gets_one_successor(&site);
    let families = server.cli(&["--scan", "--pattern", "*famil*"]);
    assert_eq!(families.lines().count(), 1, "{families}");
}

#[test]
fn hundred_refreshes_of_one_token_of_an_embedded_store_get_one_successor() {
    crowd_gets_one_successor(&IssuingFleet::embedded(ALL_AT_ONCE));
}

/// Presents a token until it is refused. As long as its grace lasts it leads to the newest, and ends nothing.
#[track_caller]
fn assert_reused_after_the_grace(address: SocketAddr, token: &Granted, newest: &Granted) {
    eventually("the end of the grace", || {
        let answer = refresh(address, &token.refresh);
        if answer.status == 200 {
            assert_eq!(Granted::read(&answer).refresh, newest.refresh);
            return None;
        }
        assert_invalid_grant(&answer);
        Some(())
    });
}

/// A token that is used again after the grace ends everything that came of its login, everywhere,
/// and nothing else; which is counted, and told to the auditors.
fn late_reuse_ends_the_login(site: &IssuingFleet) {
    let count = site.all().len();
    let answer = log_in(site.at(1), "alice", json!({ "deliver": "both" }), &[]);
    let first = Granted::read(&answer);
    let cookie = answer.field("set-cookie").expect("a cookie").split(';').next().expect("a pair");
    let bystander = Granted::log_in(site.at(1), "alice");
    let (key, _) = api_key(site.gateway(1), json!({ "subject": "u-17" }));
    let second = first.next(site.at(count));
    let third = second.next(site.at(1));
    let at_home = |number: usize| {
        let request = client::get(HOME, &[("Cookie", cookie)]);
        outcome(&client::exchange(site.at(number), request))
    };
    for number in 1..=count {
        for granted in [&first, &second, &third] {
            assert_eq!(ask(site.at(number), HOME, &granted.access), accepted());
        }
        assert_eq!(at_home(number), accepted());
    }
    assert_reused_after_the_grace(site.at(count), &first, &third);

    for number in 1..=count {
        for granted in [&first, &second, &third] {
            let revoked = denied(401, "token_revoked");
            await_told(site.at(number), HOME, &granted.access, &revoked);
            assert_invalid_grant(&refresh(site.at(number), &granted.refresh));
        }
        let (status, slug) = at_home(number);
        assert_eq!(status, 401);
        assert!(["session_revoked", "session_unknown"].contains(&&*slug), "{slug}");
        // Nothing that came of another login.
        assert_eq!(ask(site.at(number), HOME, &bystander.access), accepted());
        assert_eq!(ask_with_key(site.at(number), HOME, &key), accepted());
    }
    let bystander = bystander.next(site.at(count));
    assert_eq!(ask(site.at(1), HOME, &bystander.access), accepted());
    assert_eq!(sessions(site, "u-17").len(), 1);

    let told = eventually("a line of the audit log", || {
        audit(site.gateway(count)).into_iter().find(|line| line["audit"] == "refresh_reused")
    });
    let text = told.to_string();
    assert!(text.contains(&first.session()) || text.contains("u-17"), "{told}");
    assert_eq!((&told["result"], &told["durable"]), (&"ok".into(), &true.into()), "{told}");
    for secret in [&first, &second, &third] {
        assert!(!text.contains(&secret.refresh) && !text.contains(&secret.access), "{told}");
    }
    assert!(refreshes(site.gateway(count), "reuse_detected") >= 1.0);
    site.gateway(count).logged(|line| line["slug"] == "refresh_reused" && line["status"] == 400);
}

#[test]
fn late_reuse_ends_the_login_on_three_gateways() {
    let server = RedisServer::start();
    late_reuse_ends_the_login(&IssuingFleet::on(&server, &tokens("1s"), 3));
}

#[test]
fn late_reuse_ends_the_login_of_an_embedded_store() {
    late_reuse_ends_the_login(&IssuingFleet::embedded(&tokens("1s")));
}

/// RFC 9700 §4.14.2: nobody can say who of the two is the thief. The second who comes is found out, whatever the first
/// got within a grace.
#[test]
fn second_branch_ends_the_login() {
    let server = RedisServer::start();
    for site in [IssuingFleet::on(&server, &tokens("1s"), 2), IssuingFleet::embedded(&tokens("1s"))]
    {
        let last = site.all().len();
        let first = Granted::log_in(site.at(1), "alice");
        let second = first.next(site.at(last));
        let thief = first.next(site.at(1));
        assert_eq!(thief.refresh, second.refresh);
        let third = second.next(site.at(1));
        assert_reused_after_the_grace(site.at(last), &thief, &third);
        for number in 1..=last {
            let revoked = denied(401, "token_revoked");
            await_told(site.at(number), HOME, &third.access, &revoked);
            assert_invalid_grant(&refresh(site.at(number), &third.refresh));
        }
    }
}

/// A token leads to its successor for longer than the grace while nobody has used that. Whom that has brought a second
/// holder is found out the next time.
#[test]
fn second_holder_of_an_unused_successor_is_found_out_next() {
    let server = RedisServer::start();
    for site in [IssuingFleet::on(&server, &tokens("1s"), 1), IssuingFleet::embedded(&tokens("1s"))]
    {
        let first = Granted::log_in(site.at(1), "alice");
        let second = first.next(site.at(1));
        std::thread::sleep(Duration::from_millis(1500));
        let thief = first.next(site.at(1));
        assert_eq!(thief.refresh, second.refresh);
        let third = second.next(site.at(1));
        assert_reused_after_the_grace(site.at(1), &thief, &third);
        await_told(site.at(1), HOME, &third.access, &denied(401, "token_revoked"));
    }
}

#[test]
fn reuse_of_a_dead_family_is_refused_alike_each_time() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, &format!("{}{ALL_AT_ONCE}", tokens("0s")), 2);
    let first = Granted::log_in(site.at(1), "alice");
    let third = first.next(site.at(1)).next(site.at(2));
    let answers = crowd(&site, &first.refresh);
    answers.iter().for_each(assert_invalid_grant);
    crowd(&site, &third.refresh).iter().for_each(assert_invalid_grant);
    // One entry of each gateway that found out before it was told, not one for each attempt.
    let cuts = crate::harness::issuing::revocations(site.gateway(1));
    let about = |cut: &&Value| cut.to_string().contains(&third.session());
    assert!((1..=2).contains(&cuts.iter().filter(about).count()), "{cuts:?}");
}

/// Two tabs that wake up at the same time are one browser, with one cookie.
#[test]
fn two_tabs_of_a_browser_end_up_with_the_same_cookie() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    let origin = ("Origin", "http://gateway.test");
    let answer = log_in(site.at(1), "alice", json!({ "deliver": "tokens" }), &[origin]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json().get("refresh_token").is_none(), "{answer:?}");
    let cookie_of = |answer: &Answer| {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.json().get("refresh_token").is_none(), "{answer:?}");
        let set = answer.field("set-cookie").expect("a cookie").to_owned();
        for attribute in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/;"] {
            assert!(set.contains(attribute), "{attribute}: {set}");
        }
        assert!(!set.contains("Domain"), "{set}");
        set.split(';').next().expect("a pair").to_owned()
    };
    let mut cookie = cookie_of(&answer);
    assert!(cookie.starts_with("__Host-refresh=rt_"), "{cookie}");
    for _ in 0..3 {
        let request = |address| {
            let fields = [origin, ("Cookie", cookie.as_str())];
            let request = form("/auth/token", &fields, &[("grant_type", "refresh_token")]);
            client::exchange(address, request)
        };
        let tabs = std::thread::scope(|scope| {
            let (request, site) = (&request, &site);
            let tabs = [1, 2].map(|number| scope.spawn(move || request(site.at(number))));
            tabs.into_iter().map(|tab| tab.join().expect("an answer")).collect::<Vec<_>>()
        });
        let cookies: BTreeSet<_> = tabs.iter().map(cookie_of).collect();
        assert_eq!(cookies.len(), 1, "{cookies:?}");
        for tab in &tabs {
            let access = tab.json()["access_token"].as_str().expect("a token").to_owned();
            assert_eq!(ask(site.at(2), HOME, &access), accepted());
        }
        cookie = cookies.into_iter().next().expect("a cookie");
    }
}

/// The login of another page must not use the browser's cookie, whatever it is named.
#[test]
fn page_of_another_site_does_not_get_a_browser_its_next_token() {
    let site = IssuingFleet::embedded("");
    let own = [("Origin", "http://gateway.test")];
    let answer = log_in(site.at(1), "alice", json!({ "deliver": "tokens" }), &own);
    let set = answer.field("set-cookie").expect("a cookie");
    let cookie = set.split(';').next().expect("a pair").to_owned();
    for foreign in [
        ("Origin", "https://evil.test"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        let fields = [foreign, ("Cookie", cookie.as_str())];
        let request = form("/auth/token", &fields, &[("grant_type", "refresh_token")]);
        let answer = client::exchange(site.at(1), request);
        assert_eq!(answer.status, 403, "{foreign:?}: {answer:?}");
        assert!(answer.field("set-cookie").is_none(), "{answer:?}");
    }
    let fields = [own[0], ("Cookie", cookie.as_str())];
    let request = form("/auth/token", &fields, &[("grant_type", "refresh_token")]);
    let answer = client::exchange(site.at(1), request);
    assert_eq!(answer.status, 200, "{answer:?}");
    // What was refused was not an exchange: the first token was the current one still.
    assert_ne!(answer.field("set-cookie").expect("a cookie").split(';').next(), Some(&*cookie));
}

/// A session that is ended takes its tokens with it, and the other way round.
#[test]
fn login_that_is_delivered_both_ways_is_one_login() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    let answer = log_in(site.at(1), "alice", json!({ "deliver": "both" }), &[]);
    let granted = Granted::read(&answer);
    assert_eq!(sessions(&site, "u-17").len(), 1);
    let set = answer.field("set-cookie").expect("a cookie");
    let cookie = set.split(';').next().expect("a pair");
    let session = client::exchange(site.at(2), client::get("/auth/session", &[("Cookie", cookie)]));
    assert_eq!(session.status, 200, "{session:?}");
    assert!(session.body.contains(&granted.session()), "{session:?}");
    let csrf = session.json()["csrf_token"].as_str().expect("a token").to_owned();
    let alice = Login { cookie: cookie.to_owned(), id: granted.session(), csrf };
    alice.log_out(site.at(2));
    for number in [1, 2] {
        let revoked = denied(401, "token_revoked");
        await_told(site.at(number), HOME, &granted.access, &revoked);
        assert_invalid_grant(&refresh(site.at(number), &granted.refresh));
    }
    let request = client::get(HOME, &[("Authorization", &bearer(&granted.access))]);
    assert_eq!(client::exchange(site.at(1), request).slug(), "token_revoked");
}
