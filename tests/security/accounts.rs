//! What one account may use up: the revocation list, and the work of logging in. Whatever it does, an operator
//! can cut anybody off, and everybody else can log out.

use serde_json::{Value, json};

use crate::harness::client::{self, Answer};
use crate::harness::eventually;
use crate::harness::fleet;
use crate::harness::login::{Login, PASSWORD};
use crate::harness::oauth::{self, LONG, SECRET, STRICT, TokenPair, TokenService, basic};
use crate::harness::redis::{Data, RedisOptions, RedisServer};
use crate::harness::tokens;
use crate::harness::upstream::Upstream;

/// How many revocations there may be, and how many of them one subject has: the entries of single ends, and
/// one that stands for more.
const ENTRIES_MAX: u64 = 200;
const PER_SUBJECT_MAX: u64 = 100;

/// More than there may be.
const MANY: usize = 250;

/// Where a gateway keeps what it must remember.
enum StoreKind<'s> {
    InFile,
    In(&'s RedisServer),
}

/// A gateway with a short list that issues tokens.
fn open(kept: &StoreKind<'_>, entries_max: u64) -> TokenService {
    open_with(kept, &format!("max_entries: {entries_max}"))
}

/// The same, with this in the section `revocation`.
fn open_with(kept: &StoreKind<'_>, revocation: &str) -> TokenService {
    let (directory, upstream) = (oauth::directory(), Upstream::start());
    std::fs::write(directory.path().join("kek"), [7; 32]).expect("a file");
    let store = match kept {
        StoreKind::InFile => String::new(),
        StoreKind::In(server) => format!("store: {{ redis: {{ url: '{}' }} }}\n", server.url()),
    };
    let sections = format!("{store}revocation: {{ {revocation} }}\n");
    let text = oauth::configuration(&upstream, STRICT, &sections);
    let text = text.replacen("  access:", "  signing: { encryption_key_file: kek }\n  access:", 1);
    TokenService::of_in(directory, upstream, &text)
}

/// How many live revocations there are.
fn total(service: &TokenService) -> u64 {
    let told =
        fleet::admin(&service.gateway, "/v1/revocations?limit=1").expect("the store answers");
    told["total"].as_u64().expect("a number")
}

/// The live revocations of this scope.
fn listed(service: &TokenService, scope: &str) -> Vec<Value> {
    let told = fleet::admin(&service.gateway, "/v1/revocations").expect("the store answers");
    let all = told["revocations"].as_array().expect("a list").iter();
    all.filter(|entry| entry["scope"] == scope).cloned().collect()
}

/// What the gate says to a cookie.
#[track_caller]
fn said(service: &TokenService, login: &Login) -> (u16, String) {
    let answer = login.ask(service.gateway.address(), "/pages");
    let slug = if answer.status == 200 { String::new() } else { answer.slug() };
    (answer.status, slug)
}

/// An operator cuts somebody off, and somebody else logs out.
#[track_caller]
fn others_can_end_what_they_want(service: &TokenService, bystander: &Login) {
    let answer = fleet::revoke(&service.gateway, "mallory");
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(said(service, bystander), (200, String::new()));
    bystander.log_out(service.gateway.address());
    assert_eq!(said(service, bystander), (401, "session_revoked".to_owned()));
}

/// Runs a claim on a file and on a Redis.
fn on_both(claim: impl Fn(&StoreKind<'_>)) {
    claim(&StoreKind::InFile);
    let server = RedisServer::start();
    claim(&StoreKind::In(&server));
}

#[test]
fn logins_and_logouts_of_one_account_do_not_fill_the_list() {
    on_both(|kept| {
        let service = open(kept, ENTRIES_MAX);
        let address = service.gateway.address();
        let bystander = Login::new(address, "bob");
        let mut ended = Vec::new();
        for number in 0..MANY {
            let login = Login::new(address, "carol");
            login.log_out(address);
            if number % 50 == 0 {
                ended.push(login);
            }
        }
        assert!((1..=PER_SUBJECT_MAX).contains(&total(&service)), "{}", total(&service));
        for login in &ended {
            assert_eq!(said(&service, login), (401, "session_revoked".to_owned()));
        }
        others_can_end_what_they_want(&service, &bystander);
        // Nor is the account itself shut out.
        let login = Login::new(address, "carol");
        assert_eq!(said(&service, &login), (200, String::new()));
    });
}

#[test]
fn logging_out_everywhere_again_and_again_is_one_entry() {
    on_both(|kept| {
        let service = open(kept, ENTRIES_MAX);
        let address = service.gateway.address();
        for _ in 0..3 {
            let login = Login::new(address, "carol");
            let answer = login.send(address, "POST", "/auth/logout-everywhere");
            assert_eq!(answer.status, 204, "{answer:?}");
            assert_eq!(said(&service, &login), (401, "session_revoked".to_owned()));
            assert_eq!((total(&service), listed(&service, "subject").len()), (1, 1));
        }
    });
}

#[test]
fn displaced_logins_of_one_account_do_not_fill_the_list() {
    on_both(|kept| {
        let service = open(kept, ENTRIES_MAX);
        let address = service.gateway.address();
        let bystander = Login::new(address, "bob");
        // The first is alone in its second: of those of one second, some are only cut off together.
        let first = Login::new(address, "carol");
        let begun = tokens::now();
        eventually("the next second", || (tokens::now() > begun).then_some(()));
        let logins: Vec<_> = (1..MANY + 60).map(|_| Login::new(address, "carol")).collect();
        assert!((1..=PER_SUBJECT_MAX).contains(&total(&service)), "{}", total(&service));
        assert_eq!(said(&service, &first), (401, "session_revoked".to_owned()));
        // Those that began after what was merged go on: all but some of one second.
        let merged = listed(&service, "grants");
        let until = merged[0]["issued_until"].as_str().expect("a time");
        let sessions =
            fleet::admin(&service.gateway, "/v1/sessions?subject=carol").expect("answers");
        let sessions = sessions["sessions"].as_array().expect("a list");
        assert!(sessions.iter().all(|one| one["created_at"].as_str() > Some(until)), "{merged:?}");
        assert_eq!(said(&service, &logins[MANY + 58]), (200, String::new()));
        others_can_end_what_they_want(&service, &bystander);
    });
}

#[test]
fn tokens_that_a_client_revokes_do_not_fill_the_list() {
    on_both(|kept| {
        let service = open(kept, ENTRIES_MAX);
        let bystander = Login::new(service.gateway.address(), "bob");
        let authorization = basic("batch", SECRET);
        let fields = [("Authorization", &*authorization)];
        let mut first = None;
        for _ in 0..MANY {
            let granted = service.token_as("batch", &[("grant_type", "client_credentials")]);
            assert_eq!(granted.status, 200, "{granted:?}");
            let granted = granted.json();
            let token = granted["access_token"].as_str().expect("a token");
            let answer = service.post("/auth/revoke", &fields, &[("token", token)]);
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(service.said(token), (401, "token_revoked".to_owned()));
            first.get_or_insert_with(|| token.to_owned());
        }
        assert!((1..=PER_SUBJECT_MAX).contains(&total(&service)), "{}", total(&service));
        let first = first.expect("the first of them");
        assert_eq!(service.said(&first), (401, "token_revoked".to_owned()));
        others_can_end_what_they_want(&service, &bystander);
        // Of another client nothing ended, and nothing of those who logged in by this one.
        let other = service.token_as("other", &[("grant_type", "client_credentials")]);
        let other = other.json()["access_token"].as_str().expect("a token").to_owned();
        assert_eq!(service.said(&other), (200, String::new()));
    });
}

#[test]
fn reused_refresh_tokens_of_one_account_do_not_fill_the_list() {
    on_both(|kept| {
        let service = open(kept, 60);
        let bystander = Login::new(service.gateway.address(), "bob");
        for _ in 0..70 {
            let pair = service.tokens_of("carol");
            let next = TokenPair::of(&service.refresh(&pair.refresh));
            let last = TokenPair::of(&service.refresh(&next.refresh));
            oauth::assert_error(&service.refresh(&pair.refresh), 400, "invalid_grant");
            oauth::assert_error(&service.refresh(&last.refresh), 400, "invalid_grant");
            assert_eq!(service.said(&last.access), (401, "token_revoked".to_owned()));
        }
        // Nine tenths of the list.
        assert!((1..=54).contains(&total(&service)), "{:?}", listed(&service, "grants"));
        others_can_end_what_they_want(&service, &bystander);
    });
}

#[test]
fn session_that_began_later_and_an_older_one_outlive_what_is_merged() {
    on_both(|kept| {
        // The account may have all but the head-room: nine.
        let service = open(kept, 10);
        let address = service.gateway.address();
        for _ in 0..12 {
            Login::new(address, "carol").log_out(address);
        }
        assert!(total(&service) <= 9, "{}", total(&service));
        assert!(!listed(&service, "grants").is_empty(), "some were merged");
        // Later than all of them: what is of the same second is merged with them, and ends.
        let last = tokens::now();
        eventually("the next second", || (tokens::now() > last).then_some(()));
        let login = Login::new(address, "carol");
        assert_eq!(said(&service, &login), (200, String::new()));
        for _ in 0..2 {
            Login::new(address, "carol").log_out(address);
        }
        assert_eq!(said(&service, &login), (200, String::new()), "nothing ended that need not");
    });
}

#[test]
fn logout_succeeds_when_what_logouts_may_use_is_used_up_and_operators_have_the_rest() {
    on_both(|kept| {
        // Ordinary ends may use 18 entries, the first of each subject 19, operators all 20.
        let service = open(kept, 20);
        let address = service.gateway.address();
        let logins: Vec<_> =
            ["alice", "carol", "carol"].map(|name| Login::new(address, name)).into_iter().collect();
        for number in 0..18 {
            let answer = fleet::revoke(&service.gateway, &format!("nobody-{number}"));
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        logins[1].log_out(address);
        logins[2].log_out(address);
        assert_eq!(total(&service), 19, "one entry for both");
        for login in &logins[1..] {
            assert_eq!(said(&service, login), (401, "session_revoked".to_owned()));
        }
        let answer = logins[0].send(address, "POST", "/auth/logout");
        assert_eq!((answer.status, &*answer.slug()), (503, "store_unavailable"), "{answer:?}");
        assert_eq!(fleet::revoke(&service.gateway, "nobody-18").status, 201);
        let answer = fleet::revoke(&service.gateway, "nobody-19");
        assert_eq!((answer.status, &*answer.slug()), (507, "revocation_list_full"), "{answer:?}");
    });
}

#[test]
fn entry_of_a_logout_lives_no_longer_than_what_it_hits() {
    let service = open(&StoreKind::InFile, ENTRIES_MAX);
    let address = service.gateway.address();
    Login::new(address, "carol").log_out(address);
    let pair = service.tokens_of("bob");
    let answer = service.post("/auth/revoke", &[], &[("token", &pair.refresh)]);
    assert_eq!(answer.status, 200, "{answer:?}");
    for entry in listed(&service, "session") {
        let at = |name: &str| {
            let text = entry[name].as_str().expect("a time");
            humantime::parse_rfc3339(text).expect("a time")
        };
        let lives = at("expires_at").duration_since(at("written_at")).expect("it lives");
        // Two hours: a gateway reads what it has in memory again after one.
        assert!((7190..=7210).contains(&lives.as_secs()), "{entry}");
    }
}

/// Tries to log in.
fn log_in(service: &TokenService, name: &str, password: &str, deliver: &str) -> Answer {
    let body = json!({ "username": name, "password": password, "deliver": deliver }).to_string();
    let fields = [("Content-Type", "application/json")];
    service.gateway.exchange(client::request("POST", "/auth/login", &fields, &body))
}

/// A gateway with these budgets of logins that succeed.
fn with_successes(kept: &StoreKind<'_>, per_account: &str, per_address: &str) -> TokenService {
    let (directory, upstream) = (oauth::directory(), Upstream::start());
    std::fs::write(directory.path().join("kek"), [7; 32]).expect("a file");
    let store = match kept {
        StoreKind::InFile => String::new(),
        StoreKind::In(server) => format!("store: {{ redis: {{ url: '{}' }} }}\n", server.url()),
    };
    let text = oauth::configuration(&upstream, LONG, &store);
    let text = text.replacen("  access:", "  signing: { encryption_key_file: kek }\n  access:", 1);
    let budgets = [("account", per_account), ("address", per_address)].map(|(whose, budget)| {
        let of = |budget: &str| format!("successes_per_{whose}: {budget}");
        (of("100000/1s"), of(budget))
    });
    let text = budgets.iter().fold(text, |text, (many, few)| text.replacen(many, few, 1));
    TokenService::of_in(directory, upstream, &text)
}

#[track_caller]
fn assert_limited(answer: &Answer) {
    assert_eq!((answer.status, &*answer.slug()), (429, "rate_limited"), "{answer:?}");
    let pause = answer.field("retry-after").and_then(|text| text.parse::<u32>().ok());
    assert!(pause.is_some_and(|seconds| (1..=3600).contains(&seconds)), "{answer:?}");
}

#[test]
fn logins_of_one_account_that_succeed_are_budgeted_whatever_they_deliver() {
    on_both(|kept| {
        let service = with_successes(kept, "5/1h", "100000/1s");
        for deliver in ["session", "tokens", "both", "session", "tokens"] {
            let answer = log_in(&service, "carol", PASSWORD, deliver);
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        for deliver in ["session", "tokens", "both"] {
            assert_limited(&log_in(&service, "carol", PASSWORD, deliver));
        }
        // Before the password is looked at: nobody learns whether it is right.
        assert_limited(&log_in(&service, "carol", "wrong", "session"));
        assert_eq!(log_in(&service, "bob", PASSWORD, "tokens").status, 200);
        // Other spellings are no other budget.
        assert_limited(&log_in(&service, "CAROL", PASSWORD, "session"));
    });
}

#[test]
fn logins_of_one_network_that_succeed_are_budgeted() {
    on_both(|kept| {
        let service = with_successes(kept, "100000/1s", "3/1h");
        for name in ["alice", "bob", "carol"] {
            assert_eq!(log_in(&service, name, PASSWORD, "session").status, 200);
        }
        for name in ["alice", "dave"] {
            assert_limited(&log_in(&service, name, PASSWORD, "tokens"));
        }
    });
}

#[test]
fn failed_logins_use_up_nothing_of_what_succeeds() {
    let service = with_successes(&StoreKind::InFile, "1/1h", "1/1h");
    for _ in 0..3 {
        assert_eq!(log_in(&service, "carol", "wrong", "session").status, 401);
    }
    assert_eq!(log_in(&service, "carol", PASSWORD, "session").status, 200);
    assert_limited(&log_in(&service, "carol", PASSWORD, "session"));
}

/// A store that was away comes back, and has room for an operator only.
#[test]
fn end_for_which_there_is_no_room_keeps_no_other_from_being_delivered() {
    let durable = RedisOptions { durable: true, ..RedisOptions::default() };
    let mut server = RedisServer::start_with(durable);
    // Of 20 the last but one is for the first entry of a subject, and the last for operators.
    let revocation = "max_entries: 20, accept_local: true, max_staleness: 60s";
    let service = open_with(&StoreKind::In(&server), revocation);
    let [carol, dave] = ["carol", "dave"].map(|name| Login::new(service.gateway.address(), name));
    for number in 0..19 {
        let answer = fleet::revoke(&service.gateway, &format!("somebody-{number}"));
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    // They are in memory.
    for login in [&carol, &dave] {
        assert_eq!(said(&service, login), (200, String::new()));
    }
    server.kill();
    for login in [&carol, &dave] {
        login.log_out(service.gateway.address());
        assert_eq!(said(&service, login), (401, "session_revoked".to_owned()));
    }
    let answer = fleet::revoke(&service.gateway, "mallory");
    assert_eq!((answer.status, &answer.json()["durable"]), (202, &json!(false)), "{answer:?}");
    server.restart(Data::Kept);
    let pending = || service.gateway.metric("portcullis_revocations_pending");
    eventually("the operator's", || (pending() == 2.0).then_some(()));
    assert!(listed(&service, "subject").iter().any(|entry| entry["subject"] == "mallory"));
    // What waits is in force here all the same.
    assert_eq!(said(&service, &carol), (401, "session_revoked".to_owned()));
}
