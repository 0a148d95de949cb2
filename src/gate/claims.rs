//! The claims of a verified token, typed.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use super::reason::kind_of;
use super::session::record::SessionRecord;
use super::time::UnixTime;

/// Where roles are read from unless the issuer says otherwise (JSON pointer, RFC 6901).
pub const ROLES_POINTER_DEFAULT: &str = "/roles";

/// Which claims name the client unless the issuer says otherwise: RFC 9068 §2.2, OpenID Connect
/// Core §2, and what Okta and Entra write.
pub const CLIENT_CLAIMS_DEFAULT: [&str; 4] = ["client_id", "azp", "cid", "appid"];

/// Why a claims set is not acceptable: a claim, and what is wrong with it. Says nothing of its
/// value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimError {
    name: Cow<'static, str>,
    fault: ClaimFault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ClaimFault {
    /// It is not there, or `null`.
    Missing,
    /// It is there, and of another type than what is read.
    Type { found: Cow<'static, str>, expected: &'static str },
}

impl ClaimError {
    /// The claim `name` is not there.
    pub fn missing(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), fault: ClaimFault::Missing }
    }

    fn of_type(
        name: impl Into<Cow<'static, str>>,
        found: impl Into<Cow<'static, str>>,
        expected: &'static str,
    ) -> Self {
        Self { name: name.into(), fault: ClaimFault::Type { found: found.into(), expected } }
    }

    /// The claim, by name or JSON pointer.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, fault } = self;
        match fault {
            ClaimFault::Missing => write!(f, "the claim `{name}` is missing"),
            ClaimFault::Type { found, expected } => {
                write!(f, "the claim `{name}` is {found}; expected {expected}")
            }
        }
    }
}

impl std::error::Error for ClaimError {}

/// `sub`: the subject of the token.
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

/// The claims that are kept: the registered ones in their types (RFC 7519 §4.1), and those that
/// some route or internal token uses. A gateway caches many tokens, so all other claims are
/// dropped.
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
    /// `scope` or `scp`; none if they cannot be read.
    pub scopes: Vec<Box<str>>,
    /// The roles, from the issuer's pointer; none if they cannot be read.
    pub roles: Vec<Box<str>>,
    /// `sid`: the login that the token came from.
    pub session_id: Option<Box<str>>,
    /// The client, from the first of the issuer's client claims that is present.
    pub client_id: Option<Box<str>>,
    /// The claims that routes or internal tokens use, with the path under which they do.
    pub asked: Vec<(Box<str>, Value)>,
    /// Why the scopes cannot be read. The token is refused only where a route requires one.
    scopes_error: Option<Box<ClaimError>>,
    /// The same for the roles.
    roles_error: Option<Box<ClaimError>>,
}

/// Where claims are read from, and which are kept in addition to the registered ones.
#[derive(Clone, Copy, Debug)]
pub struct ClaimNames<'a> {
    /// Where the roles are (JSON pointer).
    pub roles: &'a str,
    /// Which claims name the client. The first that is present counts.
    pub client: &'a [Box<str>],
    /// The claims that routes or internal tokens use, by name or JSON pointer.
    pub asked: &'a [Box<str>],
}

impl Claims {
    /// Types a claims set. A claim that is `null` counts as absent.
    ///
    /// # Errors
    ///
    /// [`ClaimError`] names the first claim that is missing, or has the wrong type and is needed
    /// for every request: dates, and every claim that a revocation can name. A token that could not
    /// be revoked is not accepted.
    pub fn parse(all: &Map<String, Value>, names: ClaimNames<'_>) -> Result<Self, ClaimError> {
        let ClaimNames { roles: roles_pointer, client, asked } = names;
        let subject = match present(all, "sub") {
            None => return Err(ClaimError::missing("sub")),
            Some(Value::String(subject)) if !subject.is_empty() => Subject(subject.as_str().into()),
            Some(Value::String(_)) => {
                return Err(ClaimError::of_type("sub", "empty", "a string"));
            }
            Some(other) => return Err(ClaimError::of_type("sub", kind_of(other), "a string")),
        };
        let (scopes, scopes_error) = or_none(scopes(all));
        let (roles, roles_error) = or_none(roles(all, roles_pointer));
        Ok(Self {
            subject,
            expires: date(all, "exp")?.ok_or_else(|| ClaimError::missing("exp"))?,
            not_before: date(all, "nbf")?,
            issued_at: date(all, "iat")?,
            token_id: id(all, "jti")?.map(Into::into),
            scopes,
            roles,
            session_id: id(all, "sid")?.map(Into::into),
            client_id: client_id(all, client)?.map(Into::into),
            asked: keep(all, asked),
            scopes_error,
            roles_error,
        })
    }

    /// The claims of a session that ends at `ends`. `id` is its public name.
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
            scopes_error: None,
            roles_error: None,
        }
    }

    /// The claim at a path that some route or internal token uses.
    pub fn asked(&self, path: &str) -> Option<&Value> {
        self.asked.iter().find(|(asked, _)| **asked == *path).map(|(_, value)| value)
    }

    /// Why the scopes cannot be read, if they cannot.
    pub fn scopes_error(&self) -> Option<&ClaimError> {
        self.scopes_error.as_deref()
    }

    /// Why the roles cannot be read, if they cannot.
    pub fn roles_error(&self) -> Option<&ClaimError> {
        self.roles_error.as_deref()
    }
}

/// The value that was read, or the default and the error.
fn or_none<T: Default>(read: Result<T, ClaimError>) -> (T, Option<Box<ClaimError>>) {
    match read {
        Ok(read) => (read, None),
        Err(error) => (T::default(), Some(Box::new(error))),
    }
}

/// The claims at the paths in `asked`.
fn keep(all: &Map<String, Value>, asked: &[Box<str>]) -> Vec<(Box<str>, Value)> {
    asked.iter().filter_map(|path| Some((path.clone(), find(all, path)?.clone()))).collect()
}

/// `iss` (RFC 7519 §4.1.1).
///
/// # Errors
///
/// [`ClaimError`] if it is missing or not text.
pub fn issuer(all: &Map<String, Value>) -> Result<&str, ClaimError> {
    match present(all, "iss") {
        None => Err(ClaimError::missing("iss")),
        Some(Value::String(issuer)) => Ok(issuer),
        Some(other) => Err(ClaimError::of_type("iss", kind_of(other), "a string")),
    }
}

/// The values of `aud` (RFC 7519 §4.1.3: a string or an array of strings).
///
/// # Errors
///
/// [`ClaimError`] if it is missing or neither.
pub fn audiences(all: &Map<String, Value>) -> Result<Vec<&str>, ClaimError> {
    let value = present(all, "aud").ok_or_else(|| ClaimError::missing("aud"))?;
    strings(value, "aud")
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

/// The same, but `null` counts as absent: providers write it for unknown values.
pub fn present<'a>(all: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    find(all, path).filter(|value| !value.is_null())
}

/// A claim that identifies something: `jti`, `sid` (OpenID Connect Back-Channel Logout §2.1), a
/// client. A whole number counts as its digits.
///
/// # Errors
///
/// [`ClaimError`] if it is neither a string nor a whole number: a revocation could not name it.
fn id<'a>(all: &'a Map<String, Value>, path: &str) -> Result<Option<Cow<'a, str>>, ClaimError> {
    let fault = |found| ClaimError::of_type(path.to_owned(), found, "a string or a whole number");
    match present(all, path) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str().into())),
        // A fraction is rounded when it is read: two ids could become one.
        Some(Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string().into())),
        Some(Value::Number(_)) => Err(fault("a number that is not whole, or longer than 64 bits")),
        Some(other) => Err(fault(kind_of(other))),
    }
}

/// The client: the first of `names` that is present.
fn client_id<'a>(
    all: &'a Map<String, Value>,
    names: &[Box<str>],
) -> Result<Option<Cow<'a, str>>, ClaimError> {
    for name in names {
        if let Some(client) = id(all, name)? {
            return Ok(Some(client));
        }
    }
    Ok(None)
}

/// `auth_time` (OpenID Connect Core §2): the time of the login that the token came from.
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
/// [`ClaimError`] if it is present and not such a date.
pub fn date(all: &Map<String, Value>, name: &'static str) -> Result<Option<UnixTime>, ClaimError> {
    const SECONDS_MAX: f64 = 253_402_300_799.0; // 9999-12-31T23:59:59Z
    const EXPECTED: &str = "seconds since 1970";
    let Some(value) = present(all, name) else { return Ok(None) };
    let seconds =
        value.as_f64().ok_or_else(|| ClaimError::of_type(name, kind_of(value), EXPECTED))?;
    if !(0.0..=SECONDS_MAX).contains(&seconds) {
        return Err(ClaimError::of_type(name, "a number beyond the calendar", EXPECTED));
    }
    Ok(Some(UnixTime::from_seconds(seconds as i64)))
}

/// `scope` (RFC 8693 §4.2, space-separated) or `scp` (as several providers spell it); either may
/// be a string or an array.
fn scopes(all: &Map<String, Value>) -> Result<Vec<Box<str>>, ClaimError> {
    let (name, value) = match (present(all, "scope"), present(all, "scp")) {
        (Some(value), _) => ("scope", value),
        (None, Some(value)) => ("scp", value),
        (None, None) => return Ok(Vec::new()),
    };
    Ok(strings(value, name)?
        .into_iter()
        .flat_map(|text| text.split(' '))
        .filter(|scope| !scope.is_empty())
        .map(Into::into)
        .collect())
}

fn roles(all: &Map<String, Value>, pointer: &str) -> Result<Vec<Box<str>>, ClaimError> {
    match present(all, pointer) {
        None => Ok(Vec::new()),
        Some(value) => Ok(strings(value, pointer)?.into_iter().map(Into::into).collect()),
    }
}

/// A string, or an array of strings and nothing else.
fn strings<'a>(value: &'a Value, name: &str) -> Result<Vec<&'a str>, ClaimError> {
    const EXPECTED: &str = "a string or a list of strings";
    let fault = |found: Cow<'static, str>| ClaimError::of_type(name.to_owned(), found, EXPECTED);
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(items) => {
            let mut texts = Vec::with_capacity(items.len());
            for item in items {
                let other = || fault(format!("a list with {} in it", kind_of(item)).into());
                texts.push(item.as_str().ok_or_else(other)?);
            }
            Ok(texts)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(fault(kind_of(value).into()))
        }
    }
}

#[cfg(test)]
mod tests;
