use bytes::Bytes;
use http::HeaderValue;

use crate::oauth::client::*;

fn headers(authorization: &[&str]) -> HeaderMap {
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    let fields = authorization
        .iter()
        .map(|text| (header::AUTHORIZATION, HeaderValue::from_str(text).expect("a value")));
    fields.chain([(header::CONTENT_TYPE, kind)]).collect()
}

fn basic_field(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

/// What is found: the method, the id, and the secret or the assertion; or the slug.
fn find(authorization: &[&str], body: &str) -> Result<(Method, Option<String>, String), Slug> {
    let headers = headers(authorization);
    let body = Bytes::copy_from_slice(body.as_bytes());
    let parameters = Parameters::parse(&headers, body).map_err(|refusal| refusal.slug())?;
    let found = PresentedClient::find(&headers, &parameters);
    let PresentedClient { method, id, proof } = found.map_err(|(_, refusal)| refusal.slug())?;
    let proof = match proof {
        Proof::Nothing => String::new(),
        Proof::Secret(secret) => String::from_utf8(secret.expose().to_vec()).expect("text"),
        Proof::Assertion(text) => text.to_owned(),
    };
    Ok((method, id.map(Into::into), proof))
}

#[test]
fn basic_is_written_as_in_a_form() {
    let found = |credentials: &str| find(&[&basic_field(credentials)], "");
    let expected =
        |id: &str, secret: &str| Ok((Method::Basic, Some(id.to_owned()), secret.to_owned()));
    assert_eq!(found("batch:secret"), expected("batch", "secret"));
    // RFC 6749 §2.3.1: a colon is escaped.
    assert_eq!(found("ba%3Atch:se%2Bc+r%3Aet"), expected("ba:tch", "se+c r:et"));
    // Many send it as it is, and openssl rand -base64 makes such.
    assert_eq!(found("batch:ab/c+d=="), expected("batch", "ab/c+d=="));
    for malformed in ["batch", ":secret", "batch:", "batch:%", "batch:%00", "batch:\u{1}", "%zz:a"]
    {
        assert_eq!(found(malformed), Err(Slug::TokenRequest), "{malformed}");
    }
    let long = |length| found(&format!("batch:{}", "a".repeat(length)));
    assert!(long(1024).is_ok());
    assert_eq!(long(1025), Err(Slug::TokenRequest));
    let scheme = basic_field("batch:secret").replacen("Basic", "bASIC", 1);
    assert_eq!(find(&[&scheme], ""), expected("batch", "secret"));
}

#[test]
fn authorization_that_is_not_one_basic_is_refused() {
    let good = basic_field("batch:secret");
    assert_eq!(find(&[&good, &good], ""), Err(Slug::TokenRequest));
    assert_eq!(find(&["Bearer eyJ"], ""), Err(Slug::ClientInvalid));
    assert_eq!(find(&["Basic"], ""), Err(Slug::TokenRequest));
    assert_eq!(find(&["Basic !!!"], ""), Err(Slug::TokenRequest));
}

#[test]
fn one_way_at_a_time() {
    let good = basic_field("batch:secret");
    let kind = "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let assertion = format!("client_assertion=e.y.J&{kind}");
    let two = Err(Slug::TokenRequest);
    assert_eq!(find(&[&good], "client_id=batch&client_secret=secret"), two);
    assert_eq!(find(&[&good], &assertion), two);
    assert_eq!(find(&[], &format!("client_id=batch&client_secret=secret&{assertion}")), two);
    assert_eq!(find(&[&good], "client_id=other"), two);
    // The same client may be named beside it.
    assert!(find(&[&good], "client_id=batch").is_ok());
    let (method, id, proof) = find(&[], &assertion).expect("found");
    assert_eq!((method, id, &*proof), (Method::PrivateKeyJwt, None, "e.y.J"));
}

#[test]
fn half_of_a_proof_is_none() {
    for body in [
        "client_secret=secret",
        "client_assertion=e.y.J",
        "client_assertion=e.y.J&client_assertion_type=saml2",
        "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    ] {
        assert_eq!(find(&[], body), Err(Slug::TokenRequest), "{body}");
    }
    assert_eq!(find(&[], "client_id=app").map(|found| found.1), Ok(Some("app".to_owned())));
    // RFC 6749 §3.1: an empty secret is no secret.
    let (method, ..) = find(&[], "client_id=app&client_secret=").expect("found");
    assert_eq!(method, Method::None);
}
