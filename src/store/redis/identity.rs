//! Identifies the server of a connection. One address may lead to several servers, one after the
//! other or at once: a Kubernetes Service, a virtual address, a proxy.

use redis::{Value, from_redis_value};

/// A server process, by its `run_id`: the same for all connections to it, and a new one after a
/// restart. A replica has another one than its master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerIdentity(Box<str>);

/// The role of a server in its replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Master,
    Replica,
    /// It does not say, or it has another role.
    Other,
}

impl ServerIdentity {
    /// The identity in the answer to `INFO server`; `None` if the user may not send it, or the
    /// answer has no `run_id`.
    pub(super) fn from_info(answer: Value) -> Option<Self> {
        let info: String = from_redis_value(answer).ok()?;
        let id = info.lines().find_map(|line| line.strip_prefix("run_id:"))?.trim();
        (!id.is_empty()).then(|| Self(id.into()))
    }
}

impl ServerIdentity {
    /// The identity, as the server writes it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Role {
    /// The role in the answer to `HELLO`, in RESP2 or RESP3.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the Redis crate's")]
    pub(super) fn from_hello(answer: &Value) -> Self {
        let role = match answer {
            Value::Array(reply) => {
                let mut pairs = reply.chunks_exact(2);
                pairs.find(|pair| text(&pair[0]) == Some(b"role")).map(|pair| &pair[1])
            }
            Value::Map(reply) => {
                reply.iter().find(|(name, _)| text(name) == Some(b"role")).map(|(_, value)| value)
            }
            _ => None,
        };
        match role.and_then(text) {
            Some(b"master") => Self::Master,
            Some(b"replica" | b"slave") => Self::Replica,
            Some(_) | None => Self::Other,
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the Redis crate's")]
fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(string) => Some(string.as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn identity_is_the_run_id() {
        let info = "# Server\r\nredis_version:7.0.15\r\nrun_id:d0d1\r\ntcp_port:1\r\n";
        let identity = Some(ServerIdentity("d0d1".into()));
        assert_eq!(ServerIdentity::from_info(bulk(info)), identity);
        for none in ["# Server\r\n", "run_id:\r\n", ""] {
            assert_eq!(ServerIdentity::from_info(bulk(none)), None, "{none:?}");
        }
        assert_eq!(ServerIdentity::from_info(Value::Nil), None);
    }

    #[test]
    fn role_is_told_in_both_protocols() {
        for (name, role) in
            [("master", Role::Master), ("replica", Role::Replica), ("sentinel", Role::Other)]
        {
            let flat = vec![bulk("id"), Value::Int(7), bulk("role"), bulk(name)];
            assert_eq!(Role::from_hello(&Value::Array(flat)), role);
            let map = vec![(bulk("id"), Value::Int(7)), (bulk("role"), bulk(name))];
            assert_eq!(Role::from_hello(&Value::Map(map)), role);
        }
        assert_eq!(Role::from_hello(&Value::Nil), Role::Other);
    }
}
