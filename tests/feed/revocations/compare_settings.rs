//! Gateways that share a store and have different settings say so.

use serde_json::json;

use crate::harness::eventually;
use crate::harness::fleet::{self, redis};
use crate::harness::gateway::Gateway;
use crate::harness::oauth;
use crate::harness::redis::RedisServer;
use crate::harness::upstream::Upstream;

#[test]
fn gateways_whose_tokens_live_for_different_times_say_so_at_the_start() {
    let server = RedisServer::start();
    let upstream = Upstream::start();
    let (_, short) = oauth::sealed(&upstream, &redis(&server.settings()));
    let long = short.replacen("lifetime: 5m", "lifetime: 10m", 1);
    assert_ne!(short, long);
    let start = |text: &str| Gateway::start_in(oauth::sealed(&upstream, "").0, text);
    let [one, same, other] = [&*short, &*short, &*long].map(start);
    let told = |gateway: &Gateway| -> Vec<String> {
        let lines = gateway.errors();
        lines.into_iter().filter(|line| line.contains("has another setting")).collect()
    };
    eventually("both to say so", || {
        let is_told = |gateway, here, there| {
            told(gateway).iter().any(|line| {
                line.contains("tokens.access.lifetime")
                    && line.contains(&format!("here=\"{here}\""))
                    && line.contains(&format!("there=\"{there}\""))
            })
        };
        (is_told(&one, "5m", "10m") && is_told(&other, "10m", "5m")).then_some(())
    });
    let listed = fleet::roster(&same).expect("the gateways");
    let differs: Vec<_> = listed.iter().map(|gateway| &gateway["differs_in"]).collect();
    assert_eq!(differs.iter().filter(|fields| ***fields == json!([])).count(), 2, "{listed:?}");
    let fields = json!(["tokens.access.lifetime"]);
    assert_eq!(differs.iter().filter(|found| ***found == fields).count(), 1, "{listed:?}");
    // Once, and not each time that the others are heard of.
    let before = told(&one).len();
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!((before, told(&one).len()), (1, 1));
    assert_eq!(told(&same).len(), 1);
}
