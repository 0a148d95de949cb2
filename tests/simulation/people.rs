//! People who log in, come and go, refresh and log out; they only know what they were told.

use std::thread::sleep;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fastrand::Rng;
use portcullis::issuer::refresh::RefreshToken;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::history::{
    Deed, Fault, FaultKind, Foreign, Heard, History, Login, Pair, Route, Shown, Span,
};
use super::members::Recipient;
use super::site::Site;
use super::talk::{self, Reply, heard, request};
use crate::harness::login::PASSWORD;
use crate::harness::tokens::{self, payload};

/// Names, and whom they stand for.
pub(super) const PEOPLE: [(&str, &str); 4] =
    [("alice", "u-17"), ("bob", "bob"), ("carol", "carol"), ("dave", "dave")];

/// How many logins somebody has at once.
const LOGINS_MAX: usize = 4;

/// How long somebody who was told nothing waits before the next attempt.
const PAUSE: Duration = Duration::from_millis(60);

/// Somebody, with everything they are logged in with.
pub(super) struct Person<'s> {
    site: &'s Site,
    rng: Rng,
    subjects: [usize; 2],
    mine: Vec<usize>,
}

impl<'s> Person<'s> {
    pub(super) fn new(site: &'s Site, rng: Rng, subjects: [usize; 2]) -> Self {
        Self { site, rng, subjects, mine: Vec::new() }
    }

    fn history(&self) -> &'s History {
        &self.site.history
    }

    /// Does something.
    pub(super) fn act(&mut self) {
        let is_crowded = self.site.setting.entries_max.is_some();
        let with_tokens: Vec<_> = {
            let record = self.history().record();
            self.mine.retain(|login| !record.logins[*login].is_left);
            let mine = self.mine.iter().copied();
            mine.filter(|login| !record.logins[*login].pairs.is_empty()).collect()
        };
        // Where there is little room, it is to be used up.
        let (begins, ends) = if is_crowded { (45, 90) } else { (16, 22) };
        let turn = self.rng.u8(..100);
        match self.mine.len() {
            0 => self.log_in(),
            count if turn < begins && count < LOGINS_MAX => self.log_in(),
            count if turn < ends => {
                let login = self.mine[self.rng.usize(..count)];
                self.leave(login);
            }
            _ if turn >= 50 && !with_tokens.is_empty() => {
                let login = with_tokens[self.rng.usize(..with_tokens.len())];
                match turn {
                    50..80 => self.refresh(login),
                    80..85 => self.refresh_twice_at_once(login),
                    85..93 => self.refresh_elsewhere_meanwhile(login),
                    _ => self.reuse(login),
                }
            }
            count => {
                let login = self.mine[self.rng.usize(..count)];
                self.visit(login);
            }
        }
    }

    fn log_in(&mut self) {
        let Some(recipient) = self.site.front_door(&mut self.rng) else { return sleep(PAUSE) };
        let subject = self.subjects[self.rng.usize(..2)];
        let deliver = ["session", "tokens", "both"][self.rng.usize(..3)];
        if let Some(login) = log_in(self.site, &recipient, subject, deliver) {
            self.mine.push(login);
        }
    }

    fn visit(&mut self, login: usize) {
        let Some(recipient) = self.site.front_door(&mut self.rng) else { return sleep(PAUSE) };
        let shown = any_of(&self.history().record().logins, login, &mut self.rng);
        let route = Route::ALL[self.rng.usize(..Route::ALL.len())];
        visit(self.site, &recipient, shown, route);
    }

    /// Exchanges the refresh token, until that is answered; the answer may be lost once or twice.
    fn refresh(&mut self, login: usize) {
        for attempt in 0..6 {
            let Some(recipient) = self.site.front_door(&mut self.rng) else {
                sleep(PAUSE);
                continue;
            };
            let is_lost = attempt < 2 && self.rng.u8(..4) == 0;
            let Some(answer) = refresh(self.site, &recipient, login, is_lost) else { return };
            match answer.status() {
                Some(200) => return,
                Some(400 | 401) => return self.site.history.record().logins[login].is_left = true,
                _ => sleep(PAUSE),
            }
        }
    }

    /// Two tabs.
    fn refresh_twice_at_once(&mut self, login: usize) {
        let doors = [self.site.front_door(&mut self.rng), self.site.front_door(&mut self.rng)];
        let [Some(first), Some(second)] = doors else { return sleep(PAUSE) };
        let Some(token) = newest(self.history(), login) else { return };
        std::thread::scope(|scope| {
            for recipient in [&first, &second] {
                scope.spawn(|| exchange(self.site, recipient, login, token, false));
            }
        });
    }

    /// An exchange is held on its way to the store; its client goes on elsewhere, and then it arrives.
    fn refresh_elsewhere_meanwhile(&mut self, login: usize) {
        let doors = [self.site.front_door(&mut self.rng), self.site.front_door(&mut self.rng)];
        let [Some(held), Some(other)] = doors else { return sleep(PAUSE) };
        let Some(proxy) = self.site.proxy(held.place.gateway) else { return self.refresh(login) };
        let Some(token) = newest(self.history(), login) else { return };
        let from = self.history().now();
        let text = self.history().record().logins[login].pairs[token].refresh.clone();
        let digest = RefreshToken::parse(&text).expect("a refresh token").digest();
        proxy.hold_at(&URL_SAFE_NO_PAD.encode(digest));
        exchange(self.site, &held, login, token, true);
        let link = (0..20).find_map(|_| {
            sleep(Duration::from_millis(10));
            proxy.held()
        });
        if held.place == other.place {
            // The gateway gives up the link.
            sleep(Duration::from_millis(1_000));
        }
        self.insist(&other, login);
        self.insist(&other, login);
        sleep(Duration::from_millis(self.rng.u64(..3_500)));
        if let Some(link) = link {
            link.let_through(crate::harness::proxy::Direction::ToServer);
            let span = Span { from, until: self.history().now() };
            let gateway = Some(held.place.gateway);
            self.history().went_wrong(Fault::new(FaultKind::HoldExchange, span, gateway));
        }
    }

    fn insist(&mut self, recipient: &Recipient, login: usize) {
        for _ in 0..3 {
            match refresh(self.site, recipient, login, false).as_ref().and_then(Heard::status) {
                Some(200 | 400 | 401) | None => return,
                Some(_) => sleep(PAUSE),
            }
        }
    }

    /// Somebody shows an old token, or the same one again.
    fn reuse(&mut self, login: usize) {
        let Some(recipient) = self.site.front_door(&mut self.rng) else { return sleep(PAUSE) };
        let count = self.history().record().logins[login].pairs.len();
        if count < 3 {
            return self.refresh(login);
        }
        let token = self.rng.usize(..count - 2);
        show_old(self.site, &recipient, login, token);
        self.history().record().logins[login].is_left = true;
    }

    fn leave(&mut self, login: usize) {
        let Some(recipient) = self.site.front_door(&mut self.rng) else { return sleep(PAUSE) };
        let (cookie, refresh) = {
            let record = self.history().record();
            let login = &record.logins[login];
            (login.cookie.clone(), login.pairs.last().map(|pair| pair.refresh.clone()))
        };
        let everywhere = self.rng.u8(..4) == 0;
        let (request, deed) = match (cookie, refresh) {
            (Some((cookie, csrf)), _) => {
                let fields = [("Cookie", &*cookie), ("X-CSRF-Token", &*csrf)];
                match everywhere {
                    true => (
                        request("POST", "/auth/logout-everywhere", &fields, ""),
                        Deed::LogOutEverywhere { login },
                    ),
                    false => (request("POST", "/auth/logout", &fields, ""), Deed::LogOut { login }),
                }
            }
            (None, Some(refresh)) => {
                (form("/auth/revoke", &[("token", &*refresh)]), Deed::GiveBack { login })
            }
            (None, None) => return,
        };
        for _ in 0..3 {
            let from = self.history().now();
            let answer = heard(talk::ask(recipient.address, &request).as_ref());
            let status = answer.status();
            self.history().happened(from, recipient.place, deed, answer);
            if !matches!(status, Some(503) | None) {
                break;
            }
            sleep(PAUSE);
        }
        self.history().record().logins[login].is_left = true;
    }
}

/// Any credential of a login; not always the newest.
pub(super) fn any_of(logins: &[Login], number: usize, rng: &mut Rng) -> Shown {
    let login = &logins[number];
    let is_cookie = login.cookie.is_some() && (login.pairs.is_empty() || rng.bool());
    match is_cookie {
        true => Shown::Cookie(number),
        false => Shown::Access(number, rng.usize(..login.pairs.len())),
    }
}

/// The token that goes furthest.
fn newest(history: &History, login: usize) -> Option<usize> {
    let record = history.record();
    let pairs = record.logins[login].pairs.iter().enumerate();
    let place = |pair: &Pair| RefreshToken::parse(&pair.refresh).map(|token| token.place());
    pairs.max_by_key(|(_, pair)| place(pair)).map(|(number, _)| number)
}

pub(super) fn log_in(
    site: &Site,
    recipient: &Recipient,
    subject: usize,
    deliver: &'static str,
) -> Option<usize> {
    let history = &site.history;
    let (name, _) = PEOPLE[subject];
    let body = json!({ "username": name, "password": PASSWORD, "deliver": deliver }).to_string();
    let from = history.now();
    let fields = [("Content-Type", "application/json")];
    let reply = talk::ask(recipient.address, &request("POST", "/auth/login", &fields, &body));
    let answer = heard(reply.as_ref());
    let until = history.now();
    let login = reply
        .filter(|reply| reply.status == 200)
        .and_then(|reply| login_of(&reply, subject, Span { from, until }));
    let number = login.map(|login| {
        let mut record = history.record();
        record.logins.push(login);
        record.logins.len() - 1
    });
    let deed = Deed::LogIn { subject, login: number.unwrap_or(usize::MAX), deliver };
    history.happened(from, recipient.place, deed, answer);
    number
}

fn login_of(reply: &Reply, subject: usize, span: Span) -> Option<Login> {
    let told = reply.json();
    let cookie = reply.field("set-cookie").map(|set| {
        let pair = set.split(';').next().unwrap_or_default().to_owned();
        (pair, told["csrf_token"].as_str().unwrap_or_default().to_owned())
    });
    let pairs: Vec<_> = pair_of(&told).into_iter().collect();
    let claimed =
        pairs.first().and_then(|pair| payload(&pair.access)["sid"].as_str().map(str::to_owned));
    let session = told["session"]["id"].as_str().map(str::to_owned).or(claimed)?;
    Some(Login { subject, span, session, cookie, pairs, is_left: false })
}

fn pair_of(told: &Value) -> Option<Pair> {
    let text = |name: &str| told[name].as_str().map(str::to_owned);
    let (access, refresh) = (text("access_token")?, text("refresh_token")?);
    Some(Pair { access, refresh })
}

/// Exchanges the newest token; `None` if there is none.
pub(super) fn refresh(
    site: &Site,
    recipient: &Recipient,
    login: usize,
    is_lost: bool,
) -> Option<Heard> {
    let token = newest(&site.history, login)?;
    Some(exchange(site, recipient, login, token, is_lost))
}

/// Exchanges a token by its honest holder, who may not hear the answer.
fn exchange(
    site: &Site,
    recipient: &Recipient,
    login: usize,
    token: usize,
    is_lost: bool,
) -> Heard {
    let history = &site.history;
    let from = history.now();
    let text = history.record().logins[login].pairs[token].refresh.clone();
    let reply = match is_lost {
        true => {
            let stream = talk::send(recipient.address, &exchanging(&text));
            sleep(Duration::from_millis(30));
            drop(stream);
            None
        }
        false => talk::ask(recipient.address, &exchanging(&text)),
    };
    let answer = heard(reply.as_ref());
    if let Some(pair) = reply.and_then(|reply| pair_of(&reply.json())) {
        let pairs = &mut history.record().logins[login].pairs;
        // Another access token beside a refresh token that is known is as good.
        if !pairs.iter().any(|known| known.refresh == pair.refresh) {
            pairs.push(pair);
        }
    }
    history.happened(from, recipient.place, Deed::Refresh { login, token }, answer.clone());
    answer
}

/// Shows a refresh token that was exchanged before.
pub(super) fn show_old(site: &Site, recipient: &Recipient, login: usize, token: usize) -> Heard {
    let history = &site.history;
    let text = history.record().logins[login].pairs[token].refresh.clone();
    let from = history.now();
    let answer = heard(talk::ask(recipient.address, &exchanging(&text)).as_ref());
    history.happened(from, recipient.place, Deed::Reuse { login, token }, answer.clone());
    answer
}

pub(super) fn form(path: &str, pairs: &[(&str, &str)]) -> String {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    request("POST", path, &[("Content-Type", "application/x-www-form-urlencoded")], &body)
}

fn exchanging(token: &str) -> String {
    form("/auth/token", &[("grant_type", "refresh_token"), ("refresh_token", token)])
}

/// Shows a credential.
pub(super) fn visit(site: &Site, recipient: &Recipient, shown: Shown, route: Route) -> Heard {
    let history = &site.history;
    let (name, value) = {
        let record = history.record();
        match shown {
            Shown::Cookie(login) => {
                let cookie = record.logins[login].cookie.as_ref().expect("it has one");
                ("Cookie", cookie.0.clone())
            }
            Shown::Access(login, nth) => {
                ("Authorization", tokens::bearer(&record.logins[login].pairs[nth].access))
            }
            Shown::Foreign(number) => {
                ("Authorization", tokens::bearer(&record.foreign[number].text))
            }
        }
    };
    let from = history.now();
    let reply = talk::ask(recipient.address, &request("GET", route.path(), &[(name, &value)], ""));
    let answer = heard(reply.as_ref());
    history.happened(from, recipient.place, Deed::Visit { shown, route }, answer.clone());
    answer
}

/// Makes a token of the other issuer.
pub(super) fn mint(site: &Site, subject: usize, age_s: i64) -> usize {
    let (_, name) = PEOPLE[subject];
    let now = tokens::now();
    let text = tokens::token(json!({ "sub": name, "iat": now - age_s, "exp": now + 3600 }));
    let made = site.history.now();
    let mut record = site.history.record();
    record.foreign.push(Foreign { subject, text, made, age_s });
    record.foreign.len() - 1
}

/// Asks whether a gateway is ready.
pub(super) fn probe(site: &Site, recipient: &Recipient) -> bool {
    let from = site.history.now();
    let (address, _) = recipient.admin();
    let reply = talk::ask(address, &request("GET", "/readyz", &[], ""));
    let answer = heard(reply.as_ref());
    let is_ready = answer.status() == Some(200);
    site.history.happened(from, recipient.place, Deed::Probe, answer);
    is_ready
}
