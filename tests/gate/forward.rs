//! How much an upstream may be told of who the caller is.

use portcullis::gate::policy::Permit;

use super::*;

const LIMIT: usize = 256;

/// The headers that tell it, as they travel: with colon, space and the end of the line.
fn bytes(permit: &Permit) -> usize {
    let principal = permit.principal().expect("somebody");
    let headers = principal.identity().headers().iter();
    headers.map(|(name, value)| name.len() + value.len() + ": \r\n".len()).sum()
}

fn gatehouse(limits: &str) -> CompiledGate {
    let text = standard(AUDIENCE, "", "");
    CompiledGate::compile(&format!("{limits}\n{text}"), &[("issuer.pem", &pair().public)])
}

/// What somebody gets whose name is so long, and how much would be told of them.
fn told(gate: &CompiledGate, length: usize) -> Result<usize, &'static str> {
    let token = token(json!({"sub": "s".repeat(length)}));
    let mut asked = GateRequest::get("/orders/7");
    asked.fields.push((AUTHORIZATION, bearer(&token)));
    let verdict = gate.verdict(&asked);
    outcome(&verdict).map(bytes)
}

#[test]
fn identity_that_does_not_fit_is_refused_and_never_cut_short() {
    let gate = gatehouse(&format!("limits: {{identity_bytes: {LIMIT}B}}"));
    let rest = told(&gate, 1).expect("it fits") - 1;
    let longest = LIMIT - rest;
    assert_eq!(told(&gate, longest), Ok(LIMIT));
    assert_eq!(told(&gate, longest + 1), Err("identity_too_large"));
    assert_eq!(Slug::IdentityTooLarge.status(), 431);
}

#[test]
fn identity_has_8_kib_unless_the_limits_say_otherwise() {
    let gate = gatehouse("limits: {token_bytes: 64KiB}");
    let rest = told(&gate, 1).expect("it fits") - 1;
    assert_eq!(told(&gate, 8192 - rest), Ok(8192));
    assert_eq!(told(&gate, 8193 - rest), Err("identity_too_large"));
}

/// Who is cut off is told so, however much there is to tell of them.
#[test]
fn identity_that_does_not_fit_is_no_reason_to_say_less() {
    let gate = gatehouse("limits: {identity_bytes: 256B}");
    let long = || token(json!({"sub": "s".repeat(LIMIT), "exp": NOW - SKEW_S, "iat": NOW - 600}));
    assert_eq!(gate.slug(&long()), "token_expired");
    let scope = portcullis::gate::revocation::Scope::Issuer(ISSUER.into());
    gate.revoke(scope, NOW);
    assert_eq!(gate.slug(&token(json!({"sub": "s".repeat(LIMIT)}))), "token_revoked");
}

/// On a public route nobody is told of anybody.
#[test]
fn identity_that_does_not_fit_does_not_matter_on_a_public_route() {
    let gate = gatehouse("limits: {identity_bytes: 256B}");
    let token = bearer(&token(json!({"sub": "s".repeat(LIMIT)})));
    assert_eq!(gate.decide("/public", &[&token], NOW).slug, PERMITTED);
}
