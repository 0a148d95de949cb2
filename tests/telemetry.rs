//! What the gateway tells about itself: metrics, access log, probes.

mod access_log;
mod audit_log;
mod counting;
mod dashboard;
mod revocation;
mod sessions;

use serde_json::json;

use crate::harness::client::get;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::jwks::{JwksEndpoint, JwksReply, jwk};
use crate::harness::oauth::{self, TokenPair};
use crate::harness::people::{self, Browser, HOME};
use crate::harness::tokens::{self, AUDIENCE, bearer, pair, signed, signing_key, token};
use crate::harness::upstream::Upstream;

/// A gateway that has done everything that is counted.
struct BusyGateway {
    gateway: Gateway,
    _upstream: Upstream,
    _jwks: JwksEndpoint,
}

impl BusyGateway {
    fn start() -> Self {
        let upstream = Upstream::start();
        let jwks = JwksEndpoint::start(JwksReply::Keys(vec![jwk(pair(), "one")]));
        let gateway = Gateway::start_in(people::directory(), &configuration(&upstream, &jwks));
        let busy = Self { gateway, _upstream: upstream, _jwks: jwks };
        busy.work();
        busy
    }

    fn work(&self) {
        let gateway = &self.gateway;
        let fetched = |claims| signed(&signing_key(pair(), Some("one")), "at+jwt", claims);
        let good = token(json!({}));
        let requests = [
            get("/public/a", &[]),
            get("/orders/7", &[]),
            get("/orders/7", &[("Authorization", &bearer(&good))]),
            get("/orders/7", &[("Authorization", &bearer(&good))]),
            get("/orders/7", &[("Authorization", &bearer(&token(json!({"aud": "x"}))))]),
            get("/orders/7", &[("Authorization", &bearer(&token(json!({"scope": "x"}))))]),
            get(
                "/orders/7",
                &[("Authorization", &bearer(&fetched(json!({"iss": "https://fetched.test"}))))],
            ),
            get("/nowhere", &[]),
            get("/closed", &[]),
            get("/public/a", &[]).replace("Host: gateway.test\r\n", ""),
        ];
        for request in &requests {
            gateway.exchange(request);
        }
        let browser = Browser::log_in(gateway, "alice");
        assert!(browser.is_in(gateway));
        let stranger = format!("__Host-session={}", "A".repeat(43));
        gateway.exchange(get(HOME, &[("Cookie", &stranger)]));
        let pairs = [("username", "alice"), ("password", people::PASSWORD), ("deliver", "tokens")];
        let granted = TokenPair::of(&oauth::post(gateway, "/auth/login", &[], &pairs));
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", &granted.refresh)];
        TokenPair::of(&oauth::post(gateway, "/auth/token", &[], &pairs));
        gateway.settle(requests.len() + 5);
        gateway.signal("HUP");
        eventually("the reload", || {
            (gateway.metric("portcullis_config_generation") >= 2.0).then_some(())
        });
        // The reload is counted after it is in force.
        let reloads = "portcullis_config_reloads_total{result=\"ok\"}";
        eventually("the count", || (gateway.metric(reloads) >= 1.0).then_some(()));
    }
}

fn configuration(upstream: &Upstream, jwks: &JwksEndpoint) -> String {
    format!(
        "
listeners: [{{ address: '127.0.0.1:0' }}]
admin: {{ address: '127.0.0.1:0' }}
server: {{ threads: 2 }}
issuers:
  - name: test
    issuer: {issuer}
    audiences: [{AUDIENCE}]
    algorithms: [ES256]
    keys: {{ public_key_file: issuer.pem }}
  - name: fetched
    issuer: https://fetched.test
    audiences: [{AUDIENCE}]
    algorithms: [ES256]
    keys: {{ jwks_url: '{url}' }}
upstreams:
  behind: {{ peers: ['{upstream}'] }}
  closed: {{ peers: ['127.0.0.1:1'] }}
routes:
  - name: public
    match: {{ path: '/public/{{*rest}}', dangerous_path: [encoded_slash] }}
    upstream: behind
    public: true
  - {{ name: closed, match: {{ path: /closed }}, upstream: closed, public: true }}
  - name: orders
    match: {{ path: '/orders/{{*rest}}', methods: [GET, POST] }}
    upstream: behind
    authenticate: [bearer]
    require: {{ scopes: [orders:read] }}
  - {{ name: home, match: {{ path: {HOME} }}, upstream: behind, authenticate: [session] }}
login: {{ password_file: users.yaml }}
tokens: {{ issuer: 'https://gateway.test', access: {{ audiences: [{AUDIENCE}] }} }}
",
        issuer = tokens::ISSUER,
        url = jwks.url(),
        upstream = upstream.address(),
    )
}
