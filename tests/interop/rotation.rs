//! Verifiers that run while the gateway's keys change.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::verifiers::{Library, Verifier, Wanted};
use super::{ACCESS_AUDIENCE, Site, run};
use crate::harness::eventually;

#[test]
fn rotated_key_reaches_verifiers_that_were_already_running() {
    let site = Site::open();
    let wanted = Wanted {
        algorithm: "ES256",
        issuer: &site.issuer,
        audience: ACCESS_AUDIENCE,
        typ: "at+jwt",
    };
    let before = site.access_token();
    let mut verifiers = Library::ALL.map(|library| Verifier::start(library, &site.issuer));
    let keys = verifiers.each_mut().map(|verifier| verifier.accept(&before, wanted).1);
    assert_eq!(keys[0], keys[1]);

    run(&site.gateway, &["keys", "rotate", "--now"]);
    let after = eventually("a token signed with the new key", || {
        let token = site.access_token();
        (key_id(&token) != keys[0]).then_some(token)
    });
    for mut verifier in verifiers {
        assert_ne!(verifier.accept(&after, wanted).1, keys[0]);
        // The old key stays published for as long as what it signed is alive.
        assert_eq!(verifier.accept(&before, wanted).1, keys[0]);
        verifier.end();
    }
}

/// The `kid` of a token.
pub(super) fn key_id(token: &str) -> String {
    let header = token.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).expect("base64url");
    let header: Value = serde_json::from_slice(&header).expect("a header");
    super::text(&header["kid"])
}
