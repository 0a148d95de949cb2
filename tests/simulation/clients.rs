//! A client that shows assertions, each of which is good once (`private_key_jwt`).

use std::thread::sleep;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use super::history::{Deed, Heard};
use super::members::Recipient;
use super::people::form;
use super::site::Site;
use super::talk::{self, heard};
use crate::harness::oauth::{ASSERTION_TYPE, assertion, reports};
use crate::harness::tokens::now;

/// How long an assertion lives, in seconds. However wrong the clocks are it is neither over, nor longer than an hour.
const LIVES_S: i64 = 2_500;

/// How many of the last assertions are shown again.
const AGAIN: usize = 8;

/// The public key of the client.
pub(super) fn public_key() -> &'static str {
    &reports().public
}

/// The clients that gateways know.
pub(super) const SECTION: &str = "
clients:
  - { id: reports, public_key_file: reports.pem, algorithms: [ES256], scopes: [orders:read] }
";

/// Shows an assertion: a new one, the same at two gateways at once, or one that was shown before.
pub(super) fn ask(site: &Site, rng: &mut Rng) {
    let doors = [site.front_door(rng), site.front_door(rng)];
    let [Some(recipient), Some(other)] = doors else { return sleep(Duration::from_millis(50)) };
    let count = site.history.record().assertions.len();
    match rng.u8(..8) {
        0 => {
            let assertion = make(site);
            std::thread::scope(|scope| {
                for recipient in [&recipient, &other] {
                    scope.spawn(|| show(site, recipient, assertion));
                }
            });
        }
        4.. if count > 0 => {
            show(site, &recipient, rng.usize(count.saturating_sub(AGAIN)..count));
        }
        _ => {
            show(site, &recipient, make(site));
        }
    }
}

/// Makes an assertion.
fn make(site: &Site) -> usize {
    let text = assertion(json!({ "exp": now() + LIVES_S }));
    let mut record = site.history.record();
    record.assertions.push(text);
    record.assertions.len() - 1
}

fn show(site: &Site, recipient: &Recipient, assertion: usize) -> Heard {
    let history = &site.history;
    let text = history.record().assertions[assertion].clone();
    let from = history.now();
    let pairs = [("grant_type", "client_credentials"), ASSERTION_TYPE, ("client_assertion", &text)];
    let answer = heard(talk::ask(recipient.address, &form("/auth/token", &pairs)).as_ref());
    history.happened(from, recipient.place, Deed::ShowAssertion { assertion }, answer.clone());
    answer
}

/// Whether a new assertion is good, once; some of those before are shown again, too.
pub(super) fn is_served(site: &Site, recipient: &Recipient, rng: &mut Rng) -> bool {
    let count = site.history.record().assertions.len();
    for _ in 0..AGAIN.min(count) {
        show(site, recipient, rng.usize(..count));
    }
    let fresh = make(site);
    let told = [show(site, recipient, fresh), show(site, recipient, fresh)];
    told.map(|heard| heard.status()) == [Some(200), Some(401)]
}
