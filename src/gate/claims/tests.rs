use serde_json::json;

use super::*;

fn parse(claims: Value) -> Result<Claims, ClaimError> {
    let Value::Object(all) = claims else { panic!("an object") };
    let client = CLIENT_CLAIMS_DEFAULT.map(Into::into);
    Claims::parse(&all, ClaimNames { roles: ROLES_POINTER_DEFAULT, client: &client, asked: &[] })
}

fn texts(items: &[Box<str>]) -> Vec<&str> {
    items.iter().map(|item| &**item).collect()
}

#[test]
fn required_claims_must_be_there_and_have_their_type() {
    assert!(parse(json!({"sub": "a", "exp": 1})).is_ok());
    for (claims, missing) in [
        (json!({"exp": 1}), "sub"),
        (json!({"sub": "", "exp": 1}), "sub"),
        (json!({"sub": 7, "exp": 1}), "sub"),
        (json!({"sub": "a"}), "exp"),
        (json!({"sub": "a", "exp": "1"}), "exp"),
        (json!({"sub": "a", "exp": -1}), "exp"),
        (json!({"sub": "a", "exp": 1e300}), "exp"),
        (json!({"sub": "a", "exp": null}), "exp"),
        (json!({"sub": "a", "exp": 1, "nbf": "soon"}), "nbf"),
        (json!({"sub": "a", "exp": 1, "iat": []}), "iat"),
        (json!({"sub": "a", "exp": 1, "jti": 7.5}), "jti"),
        (json!({"sub": "a", "exp": 1, "sid": [7]}), "sid"),
        (json!({"sub": "a", "exp": 1, "azp": {}}), "azp"),
    ] {
        assert_eq!(parse(claims.clone()).expect_err("refused").name(), missing, "{claims}");
    }
}

#[test]
fn lists_that_cannot_be_read_are_none_and_it_is_known_why() {
    let claims = parse(json!({"sub": "a", "exp": 1, "scope": 7, "roles": [7]})).expect("parses");
    assert!(claims.scopes.is_empty() && claims.roles.is_empty());
    let errors = [claims.scopes_error(), claims.roles_error()];
    assert_eq!(errors.map(|error| error.map(ClaimError::name)), [Some("scope"), Some("/roles")]);
    let claims = parse(json!({"sub": "a", "exp": 1, "scope": null, "roles": []})).expect("parses");
    assert_eq!((claims.scopes_error(), claims.roles_error()), (None, None));
}

#[test]
fn whole_number_names_as_its_digits_do() {
    let id = |value: Value| {
        parse(json!({"sub": "a", "exp": 1, "jti": value})).map(|claims| claims.token_id)
    };
    assert_eq!(id(json!(1234)), Ok(Some("1234".into())));
    assert_eq!(id(json!(-7)), Ok(Some("-7".into())));
    assert_eq!(id(json!(u64::MAX)), Ok(Some("18446744073709551615".into())));
    assert_eq!(id(json!(null)), Ok(None));
    assert!(id(json!(1e3)).is_err());
    assert!(id(json!(true)).is_err());
}

#[test]
fn client_is_named_by_the_first_claim_that_is_there() {
    let client = |claims: Value| {
        let mut all = json!({"sub": "a", "exp": 1});
        all.as_object_mut().expect("an object").extend(claims.as_object().expect("one").clone());
        parse(all).map(|claims| claims.client_id)
    };
    assert_eq!(client(json!({"client_id": "a", "azp": "b"})), Ok(Some("a".into())));
    assert_eq!(client(json!({"client_id": null, "azp": "b", "cid": "c"})), Ok(Some("b".into())));
    assert_eq!(client(json!({"appid": "d", "cid": "c"})), Ok(Some("c".into())));
    // A claim that is not needed is not read.
    assert_eq!(client(json!({"azp": "b", "appid": ["d"]})), Ok(Some("b".into())));
    assert!(client(json!({"appid": ["d"]})).is_err());
    assert_eq!(client(json!({})), Ok(None));
}

#[test]
fn scopes_come_from_scope_or_scp_as_string_or_array() {
    for claim in [
        json!({"sub": "a", "exp": 1, "scope": "x y"}),
        json!({"sub": "a", "exp": 1, "scope": ["x", "y"]}),
        json!({"sub": "a", "exp": 1, "scp": " x  y "}),
        json!({"sub": "a", "exp": 1, "scp": ["x y"]}),
        json!({"sub": "a", "exp": 1, "scope": "x y", "scp": "z"}),
    ] {
        assert_eq!(texts(&parse(claim).expect("parses").scopes), ["x", "y"]);
    }
}

#[test]
fn roles_come_from_the_pointer() {
    let Value::Object(all) =
        json!({"sub": "a", "exp": 1, "realm_access": {"roles": ["r"]}, "a/b": "s"})
    else {
        panic!("an object")
    };
    let roles = |pointer| {
        let names = ClaimNames { roles: pointer, client: &[], asked: &[] };
        Claims::parse(&all, names).expect("parses").roles
    };
    assert_eq!(texts(&roles("/realm_access/roles")), ["r"]);
    assert_eq!(texts(&roles("/a~1b")), ["s"]);
    assert!(roles("/nowhere/roles").is_empty());
}

#[test]
fn audience_is_a_string_or_an_array() {
    let named = |aud: Value| {
        let Value::Object(all) = json!({ "aud": aud }) else { panic!("an object") };
        audiences(&all).map(|named| named.join(" ")).map_err(|error| error.to_string())
    };
    assert_eq!(named(json!("api")), Ok("api".to_owned()));
    assert_eq!(named(json!(["x", "api"])), Ok("x api".to_owned()));
    assert_eq!(named(json!([])), Ok(String::new()));
    assert_eq!(named(json!(null)), Err("the claim `aud` is missing".to_owned()));
    let mixed =
        "the claim `aud` is a list with a number in it; expected a string or a list of strings";
    assert_eq!(named(json!(["api", 7])), Err(mixed.to_owned()));
}
