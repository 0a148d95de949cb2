//! Keys over TLS, and what else may sit between us and an issuer.

use portcullis::issuer::key_pairs::KeyPairPem;

use super::*;
use crate::harness::certificates::{Authority, Certificate};
use crate::harness::gateway::directory;

struct Site {
    pair: KeyPairPem,
    jwks: JwksEndpoint,
}

/// An issuer whose endpoint shows this certificate.
fn site(certificate: &Certificate) -> Site {
    let pair = generate(KeyKind::P256).expect("a key pair");
    let jwks = JwksEndpoint::start_tls(JwksReply::Keys(vec![jwk(&pair, "first")]), certificate);
    Site { pair, jwks }
}

/// A gateway that fetches the keys of the site; it trusts these authorities, if any are named.
fn trusting(site: &Site, authorities: Option<&str>) -> Gateway {
    let directory = directory();
    let mut keys = format!("jwks_url: '{}', refresh: 1h", site.jwks.url());
    if let Some(pem) = authorities {
        std::fs::write(directory.path().join("idp-ca.pem"), pem).expect("a file");
        keys.push_str(", ca_file: idp-ca.pem");
    }
    let issuers = [entry("idp", "ES256", &keys)];
    Gateway::start_in(directory, &configuration(&Upstream::start(), &issuers))
}

fn token(site: &Site) -> String {
    token_of("idp", &tokens::signing_key(&site.pair, Some("first")))
}

/// The gateway sent no request to the site, and has no keys of it.
#[track_caller]
fn assert_shunned(site: &Site, gateway: &Gateway) {
    assert_eq!(ask(gateway, &token(site)), denied(503, "keys_unavailable"));
    assert_eq!(site.jwks.requests(), 0);
    assert!(fetches(gateway, "idp", "failed") >= 1.0);
}

#[test]
fn keys_come_over_tls_from_a_site_that_the_named_authority_vouches_for() {
    let authority = Authority::new();
    let site = site(&authority.issue("127.0.0.1"));
    let gateway = trusting(&site, Some(&authority.pem()));
    assert_eq!(ask(&gateway, &token(&site)), accepted());
}

#[test]
fn one_of_several_authorities_is_enough() {
    let authority = Authority::new();
    let site = site(&authority.issue("127.0.0.1"));
    let bundle = Authority::new().pem() + &authority.pem();
    let gateway = trusting(&site, Some(&bundle));
    assert_eq!(ask(&gateway, &token(&site)), accepted());
}

#[test]
fn site_of_an_authority_that_nobody_knows_is_not_asked() {
    let site = site(&Authority::new().issue("127.0.0.1"));
    let gateway = trusting(&site, None);
    assert_shunned(&site, &gateway);
}

#[test]
fn site_of_another_authority_than_the_named_one_is_not_asked() {
    let site = site(&Authority::new().issue("127.0.0.1"));
    let gateway = trusting(&site, Some(&Authority::new().pem()));
    assert_shunned(&site, &gateway);
}

#[test]
fn site_with_the_certificate_of_another_host_is_not_asked() {
    let authority = Authority::new();
    let site = site(&authority.issue("elsewhere.test"));
    let gateway = trusting(&site, Some(&authority.pem()));
    assert_shunned(&site, &gateway);
}

#[test]
fn change_of_the_named_authority_takes_effect_without_a_restart() {
    let authority = Authority::new();
    let site = site(&authority.issue("127.0.0.1"));
    let gateway = trusting(&site, Some(&Authority::new().pem()));
    assert_shunned(&site, &gateway);
    std::fs::write(gateway.directory().join("idp-ca.pem"), authority.pem()).expect("a file");
    eventually("the keys", || (ask(&gateway, &token(&site)) == accepted()).then_some(()));
}

#[test]
fn keys_from_a_loopback_address_come_past_any_proxy() {
    // Plain HTTP is for loopback addresses because nobody sits on the way there. A proxy that the
    // environment names would sit there, and could put in keys of its own.
    let issuer = Issuer::start("idp");
    let proxy = Issuer::start("proxy");
    let configuration = configuration(&Upstream::start(), &[issuer.yaml("refresh: 1h")]);
    let url = proxy.jwks.url();
    let environment =
        ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].map(|name| (name, &*url));
    let mut gateway = Gateway::spawn_with(directory(), &configuration, &environment);
    gateway.wait_until_ready();
    assert_eq!(ask(&gateway, &issuer.token()), accepted());
    assert_eq!(proxy.jwks.requests(), 0);
}
