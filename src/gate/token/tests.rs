use super::*;

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn token(header: &str, payload: &str) -> String {
    format!("{}.{}.{}", encode(header), encode(payload), encode("signature"))
}

#[test]
fn rfc7515_appendix_a1_is_taken_apart() {
    let text = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
                .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
                .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let token = Token::parse(text, TOKEN_BYTES_DEFAULT).expect("the RFC's example parses");
    assert_eq!(token.header().algorithm, "HS256");
    assert_eq!(token.header().token_type.as_deref(), Some("JWT"));
    assert_eq!(token.signature().len(), 32);
    assert_eq!(token.claims().expect("claims are an object")["iss"], "joe");
}

#[test]
fn length_is_accepted_up_to_the_limit_and_refused_beyond() {
    let text = token(r#"{"alg":"RS256"}"#, "{}");
    assert!(Token::parse(&text, text.len()).is_ok());
    assert_eq!(
        Token::parse(&text, text.len() - 1).expect_err("one over"),
        MalformedToken::Oversized { bytes: text.len(), bytes_max: text.len() - 1 }
    );
}

#[test]
fn header_length_is_accepted_up_to_the_limit_and_refused_beyond() {
    let header = |bytes: usize| {
        let frame = r#"{"alg":"RS256","x":""}"#.len();
        format!(r#"{{"alg":"RS256","x":"{}"}}"#, "x".repeat(bytes - frame))
    };
    let at = token(&header(HEADER_BYTES_MAX), "{}");
    let over = token(&header(HEADER_BYTES_MAX + 1), "{}");
    assert!(Token::parse(&at, usize::MAX).is_ok());
    assert_eq!(
        Token::parse(&over, usize::MAX).expect_err("one over"),
        MalformedToken::HeaderOversized(HEADER_BYTES_MAX + 1)
    );
}

#[test]
fn anything_but_three_parts_is_refused_and_counted() {
    for (text, parts) in [("", 1), ("a", 1), (".", 2), ("a.b", 2), ("a.b.c.d", 4)] {
        let error = Token::parse(text, 100).expect_err(text);
        assert_eq!(error, MalformedToken::Parts(parts), "{text}");
    }
    assert_eq!(Token::parse("a.b.c.d.e", 100).expect_err("a JWE"), MalformedToken::Encrypted);
    assert_eq!(Token::parse("a.b.c.d.e.f", 100).expect_err("six"), MalformedToken::Parts(6));
    assert_eq!(MalformedToken::Parts(1).to_string(), "the token has 1 part; a signed token has 3");
}

#[test]
fn padded_standard_and_loose_base64_is_refused() {
    let good = token(r#"{"alg":"RS256"}"#, r#"{"a":1}"#);
    assert!(Token::parse(&good, 1000).is_ok());
    let (rest, signature) = good.rsplit_once('.').expect("three parts");
    for signature in [format!("{signature}="), "a+b/".to_owned(), "AB".to_owned(), " ".to_owned()] {
        let text = format!("{rest}.{signature}");
        assert_eq!(
            Token::parse(&text, 1000).expect_err(&text),
            MalformedToken::Encoding("signature")
        );
    }
}

#[test]
fn header_that_is_not_one_object_with_a_string_alg_is_refused() {
    let of = |name, found| MalformedToken::Parameter { name, found };
    for (header, error) in [
        ("", MalformedToken::Header),
        ("[]", MalformedToken::Header),
        (r#"{"alg":"RS256","alg":"none"}"#, MalformedToken::Header),
        ("{}", MalformedToken::Algorithm),
        (r#"{"alg":null}"#, MalformedToken::Algorithm),
        (r#"{"alg":1}"#, of("alg", "a number")),
        (r#"{"alg":"RS256","kid":7}"#, of("kid", "a number")),
        (r#"{"alg":"RS256","typ":[]}"#, of("typ", "a list")),
    ] {
        let text = token(header, "{}");
        assert_eq!(Token::parse(&text, 1000).expect_err(header), error);
    }
}

#[test]
fn parameter_that_is_null_is_absent() {
    let text = token(r#"{"alg":"RS256","kid":null,"typ":null}"#, "{}");
    let token = Token::parse(&text, 1000).expect("parses");
    assert_eq!((&token.header().key_id, &token.header().token_type), (&None, &None));
}

#[test]
fn crit_is_noticed_whatever_it_lists() {
    for crit in ["[]", "null", r#"["b64"]"#, r#""exp""#] {
        let text = token(&format!(r#"{{"alg":"RS256","crit":{crit}}}"#), "{}");
        assert!(Token::parse(&text, 1000).expect("parses").header().critical, "{crit}");
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in ".{0,300}") {
        let _ = Token::parse(&text, 256);
    }

    #[test]
    fn arbitrary_parts_never_panic(header in "[ -~]{0,80}", payload in "[ -~]{0,80}") {
        let text = token(&header, &payload);
        if let Ok(token) = Token::parse(&text, 1024) {
            let _ = token.claims();
        }
    }
}
