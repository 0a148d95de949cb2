//! The claims of a verified token, typed.

use serde_json::{Map, Value};

use super::session::SessionRecord;
use super::time::UnixTime;

/// Where roles are read from unless the issuer says otherwise (JSON pointer, RFC 6901).
pub const ROLES_POINTER_DEFAULT: &str = "/roles";

/// Why a claims set is not acceptable: a claim that is missing or has the wrong type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the claim `{0}` is missing or has the wrong type")]
pub struct ClaimError(pub &'static str);

/// `sub`: whom the token is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject(Box<str>);

impl Subject {
    /// The subject that a login established.
    pub(super) fn of_session(subject: &str) -> Self {
        Self(subject.into())
    }

    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is kept of a claims set: the registered claims in their types (RFC 7519 §4.1), and those
/// that some route asks for. A gateway remembers many tokens; what nobody asks for is dropped.
#[derive(Debug)]
pub struct Claims {
    /// `sub`.
    pub subject: Subject,
    /// `exp`.
    pub expires: UnixTime,
    /// `nbf`.
    pub not_before: Option<UnixTime>,
    /// `iat`.
    pub issued_at: Option<UnixTime>,
    /// `jti`.
    pub token_id: Option<Box<str>>,
    /// `scope` or `scp`.
    pub scopes: Vec<Box<str>>,
    /// The roles, from the issuer's pointer.
    pub roles: Vec<Box<str>>,
    /// `sid`: the login of which it came.
    pub session_id: Option<Box<str>>,
    /// `client_id`, or `azp`.
    pub client_id: Option<Box<str>>,
    /// The claims that routes ask for, by the path under which they do.
    pub asked: Vec<(Box<str>, Value)>,
}

impl Claims {
    /// Types a claims set, and keeps the claims at the paths in `asked`.
    ///
    /// # Errors
    ///
    /// [`ClaimError`] names the first claim that is missing or has the wrong type.
    pub fn parse(
        all: &Map<String, Value>,
        roles_pointer: &str,
        asked: &[Box<str>],
    ) -> Result<Self, ClaimError> {
        let subject = match all.get("sub") {
            Some(Value::String(subject)) if !subject.is_empty() => Subject(subject.as_str().into()),
            _ => return Err(ClaimError("sub")),
        };
        let token_id = match all.get("jti") {
            None => None,
            Some(Value::String(id)) => Some(id.as_str().into()),
            Some(_) => return Err(ClaimError("jti")),
        };
        let (session_id, client_id) = session_and_client(all)?;
        Ok(Self {
            subject,
            expires: date(all, "exp")?.ok_or(ClaimError("exp"))?,
            not_before: date(all, "nbf")?,
            issued_at: date(all, "iat")?,
            token_id,
            scopes: scopes(all)?,
            roles: roles(all, roles_pointer)?,
            session_id: session_id.map(Into::into),
            client_id: client_id.map(Into::into),
            asked: keep(all, asked),
        })
    }

    /// The claims of a session that ends at `ends`, which people know by `id`.
    pub(super) fn of_session(
        id: Option<&str>,
        record: &SessionRecord,
        ends: UnixTime,
        asked: &[Box<str>],
    ) -> Self {
        Self {
            subject: Subject::of_session(&record.subject),
            expires: ends,
            not_before: None,
            issued_at: Some(record.created),
            token_id: None,
            scopes: record.scopes.clone(),
            roles: record.roles.clone(),
            session_id: id.map(Into::into),
            client_id: None,
            asked: keep(&record.claims, asked),
        }
    }

    /// The claim at a path that was asked for.
    pub fn asked(&self, path: &str) -> Option<&Value> {
        self.asked.iter().find(|(asked, _)| **asked == *path).map(|(_, value)| value)
    }
}

/// The claims at the paths in `asked`.
fn keep(all: &Map<String, Value>, asked: &[Box<str>]) -> Vec<(Box<str>, Value)> {
    asked.iter().filter_map(|path| Some((path.clone(), find(all, path)?.clone()))).collect()
}

/// Whether `aud` names one of `accepted` (RFC 7519 §4.1.3: a string or an array of strings).
///
/// # Errors
///
/// [`ClaimError`] if `aud` is missing or neither.
pub fn names_audience(all: &Map<String, Value>, accepted: &[Box<str>]) -> Result<bool, ClaimError> {
    let named = strings(all.get("aud").ok_or(ClaimError("aud"))?).ok_or(ClaimError("aud"))?;
    Ok(named.iter().any(|named| accepted.iter().any(|accepted| **accepted == **named)))
}

/// The claim at `path`: a member name, or a JSON pointer if it starts with a slash.
pub fn find<'a>(all: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let Some(pointer) = path.strip_prefix('/') else { return all.get(path) };
    let (first, rest) = match pointer.find('/') {
        Some(at) => pointer.split_at(at),
        None => (pointer, ""),
    };
    all.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(rest)
}

/// `sid` (OpenID Connect Back-Channel Logout §2.1) and `client_id` (RFC 9068 §2.2), or what
/// stands in for it, `azp` (OpenID Connect Core §2).
///
/// # Errors
///
/// [`ClaimError`] if one of them is not a string: what could not be revoked is not accepted.
fn session_and_client(
    all: &Map<String, Value>,
) -> Result<(Option<&str>, Option<&str>), ClaimError> {
    let text = |name: &'static str| match all.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(ClaimError(name)),
    };
    let (client, authorized) = (text("client_id")?, text("azp")?);
    Ok((text("sid")?, client.or(authorized)))
}

/// `auth_time` (OpenID Connect Core §2): when the login was of which the token came.
///
/// # Errors
///
/// [`ClaimError`] if it is not a date.
pub fn authenticated_at(all: &Map<String, Value>) -> Result<Option<UnixTime>, ClaimError> {
    date(all, "auth_time")
}

/// A `NumericDate` (RFC 7519 §2): whole or fractional seconds, within what a clock can show.
///
/// # Errors
///
/// [`ClaimError`] if it is there and is none.
pub fn date(all: &Map<String, Value>, name: &'static str) -> Result<Option<UnixTime>, ClaimError> {
    const SECONDS_MAX: f64 = 253_402_300_799.0; // 9999-12-31T23:59:59Z
    let Some(value) = all.get(name) else { return Ok(None) };
    let seconds = value.as_f64().ok_or(ClaimError(name))?;
    if !(0.0..=SECONDS_MAX).contains(&seconds) {
        return Err(ClaimError(name));
    }
    Ok(Some(UnixTime::from_seconds(seconds as i64)))
}

/// `scope` (RFC 8693 §4.2, space-separated) or `scp` (as several providers spell it); either may
/// be a string or an array.
fn scopes(all: &Map<String, Value>) -> Result<Vec<Box<str>>, ClaimError> {
    let (name, value) = match (all.get("scope"), all.get("scp")) {
        (Some(value), _) => ("scope", value),
        (None, Some(value)) => ("scp", value),
        (None, None) => return Ok(Vec::new()),
    };
    let listed = strings(value).ok_or(ClaimError(name))?;
    Ok(listed
        .iter()
        .flat_map(|text| text.split(' '))
        .filter(|scope| !scope.is_empty())
        .map(Into::into)
        .collect())
}

fn roles(all: &Map<String, Value>, pointer: &str) -> Result<Vec<Box<str>>, ClaimError> {
    match find(all, pointer) {
        None => Ok(Vec::new()),
        Some(value) => strings(value).ok_or(ClaimError("roles")),
    }
}

/// A string, or an array of strings and nothing else.
fn strings(value: &Value) -> Option<Vec<Box<str>>> {
    match value {
        Value::String(text) => Some(vec![text.as_str().into()]),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(Into::into)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(claims: Value) -> Result<Claims, ClaimError> {
        let Value::Object(all) = claims else { panic!("an object") };
        Claims::parse(&all, ROLES_POINTER_DEFAULT, &[])
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
            (json!({"sub": "a", "exp": 1, "jti": 7}), "jti"),
            (json!({"sub": "a", "exp": 1, "scope": 7}), "scope"),
            (json!({"sub": "a", "exp": 1, "roles": [7]}), "roles"),
        ] {
            assert_eq!(
                parse(claims.clone()).expect_err("refused"),
                ClaimError(missing),
                "{claims}"
            );
        }
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
        let roles = |pointer| Claims::parse(&all, pointer, &[]).expect("parses").roles;
        assert_eq!(texts(&roles("/realm_access/roles")), ["r"]);
        assert_eq!(texts(&roles("/a~1b")), ["s"]);
        assert!(roles("/nowhere/roles").is_empty());
    }

    #[test]
    fn audience_is_a_string_or_an_array() {
        let named = |aud: Value| {
            let Value::Object(all) = json!({ "aud": aud }) else { panic!("an object") };
            names_audience(&all, &["api".into()])
        };
        assert_eq!(named(json!("api")), Ok(true));
        assert_eq!(named(json!(["x", "api"])), Ok(true));
        assert_eq!(named(json!("API")), Ok(false));
        assert_eq!(named(json!([])), Ok(false));
        assert_eq!(named(json!(["api", 7])), Err(ClaimError("aud")));
        assert_eq!(named(json!(null)), Err(ClaimError("aud")));
    }
}
