//! Reads the body of `POST login`: credentials, where to go afterwards, and what to deliver.

use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use super::deliver::{Delivery, DeliveryFields};
use super::name_and_password::{NAME_BYTES_MAX, NameAndPassword, PASSWORD_BYTES_MAX};
use super::return_to::ReturnTo;
use crate::config::{Login, Tokens};
use crate::gate::json;
use crate::secret::Secret;
use crate::web::form;

/// The format of a login's body, which decides the format of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFormat {
    /// JSON, from a program.
    Json,
    /// The form of the login page, from a browser.
    Form,
}

/// A request to log in.
#[derive(Debug)]
pub(super) struct LoginRequest {
    /// The format of its body.
    pub(super) format: BodyFormat,
    /// The user's name and password.
    pub(super) credentials: NameAndPassword,
    /// Where to go after the login, if the request says so.
    pub(super) return_to: Option<ReturnTo>,
    /// What to deliver.
    pub(super) delivery: Delivery,
}

/// A body that is not a login, and why, for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnreadableLogin {
    /// The format of the body, if it can be recognized.
    pub(super) format: Option<BodyFormat>,
    /// What is wrong.
    pub(super) detail: &'static str,
}

impl LoginRequest {
    /// Reads a body, and wipes it.
    pub(super) fn parse(
        headers: &HeaderMap,
        body: Bytes,
        login: &Login,
        tokens: Option<&Tokens>,
    ) -> Result<Self, UnreadableLogin> {
        let format = BodyFormat::of(headers);
        let read = match format {
            Some(BodyFormat::Json) => {
                LoginFields::of_json(&body).map(|fields| (BodyFormat::Json, fields))
            }
            Some(BodyFormat::Form) => {
                LoginFields::of_form(&body).map(|fields| (BodyFormat::Form, fields))
            }
            None => Err("Send application/json or application/x-www-form-urlencoded"),
        };
        if let Ok(mut bytes) = body.try_into_mut() {
            bytes.as_mut().zeroize();
        }
        let request = read.and_then(|(format, fields)| fields.compile(format, login, tokens));
        request.map_err(|detail| UnreadableLogin { format, detail })
    }
}

impl BodyFormat {
    /// By `Content-Type`, whatever its parameters.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
        let kind = kinds.next().filter(|_| kinds.next().is_none())?.to_str().ok()?;
        let kind = kind.split(';').next().unwrap_or_default().trim_ascii();
        if kind.eq_ignore_ascii_case("application/json") {
            return Some(Self::Json);
        }
        kind.eq_ignore_ascii_case("application/x-www-form-urlencoded").then_some(Self::Form)
    }
}

/// The fields of a body, each at most once.
#[derive(Default)]
struct LoginFields {
    username: Option<String>,
    password: Option<Zeroizing<String>>,
    return_to: Option<String>,
    delivery: DeliveryFields,
}

impl LoginFields {
    fn of_json(body: &[u8]) -> Result<Self, &'static str> {
        let mut members = json::parse_object(body)
            .map_err(|_| "The body is not a JSON object, or repeats a member")?;
        let mut fields = Self::default();
        // The password comes first: from here on, it is wiped.
        if let Some(password) = members.remove("password") {
            fields.take("password", text(password)?)?;
        }
        for (name, value) in members {
            fields.take(&name, text(value)?)?;
        }
        Ok(fields)
    }

    fn of_form(body: &[u8]) -> Result<Self, &'static str> {
        let pairs = form::parse(body).map_err(|_| "The body is not a well-formed form")?;
        let mut fields = Self::default();
        for (name, value) in pairs {
            fields.take(&name, value)?;
        }
        Ok(fields)
    }

    fn take(&mut self, name: &str, mut value: Zeroizing<String>) -> Result<(), &'static str> {
        let DeliveryFields { deliver, client_id, scope } = &mut self.delivery;
        let previous = match name {
            "password" => self.password.replace(value).is_some(),
            "username" => self.username.replace(std::mem::take(&mut *value)).is_some(),
            "return_to" => self.return_to.replace(std::mem::take(&mut *value)).is_some(),
            "deliver" => deliver.replace(std::mem::take(&mut *value)).is_some(),
            "client_id" => client_id.replace(std::mem::take(&mut *value)).is_some(),
            "scope" => scope.replace(std::mem::take(&mut *value)).is_some(),
            _ => {
                return Err(
                    "Only username, password, return_to, deliver, client_id and scope are known",
                );
            }
        };
        if previous { Err("A field is repeated") } else { Ok(()) }
    }

    fn compile(
        self,
        format: BodyFormat,
        login: &Login,
        tokens: Option<&Tokens>,
    ) -> Result<LoginRequest, &'static str> {
        let Self { username, password, return_to, delivery } = self;
        let delivery = delivery.compile(tokens)?;
        let name = username.filter(|name| !name.is_empty()).ok_or("`username` is missing")?;
        // Some directories treat an empty password as a login without one (RFC 4513 §5.1.2).
        let password = password.filter(|password| !password.is_empty());
        let mut password = password.ok_or("`password` is missing")?;
        if name.len() > NAME_BYTES_MAX {
            return Err("`username` is longer than 256 bytes");
        }
        if password.len() > PASSWORD_BYTES_MAX {
            return Err("`password` is longer than 1024 bytes");
        }
        let return_to = match return_to {
            None => None,
            Some(text) => {
                let accepted = ReturnTo::parse(&text, login);
                Some(accepted.ok_or("`return_to` is not a place that this gateway redirects to")?)
            }
        };
        let password = Secret::new(std::mem::take(&mut *password).into_bytes());
        let credentials = NameAndPassword { name: name.into(), password };
        Ok(LoginRequest { format, credentials, return_to, delivery })
    }
}

fn text(value: Value) -> Result<Zeroizing<String>, &'static str> {
    match value {
        Value::String(text) => Ok(Zeroizing::new(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err("A member is not a string")
        }
    }
}

#[cfg(test)]
mod tests;
