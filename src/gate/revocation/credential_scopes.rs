//! The scopes by which a credential can be revoked, in the form used for look-ups in the list.

use aws_lc_rs::digest;

use super::scope::{Scope, ScopeKind};

/// 125 bits of a scope's SHA-256, and three that hold its kind. An attacker would need 2^62 tries
/// to make two scopes collide, and would only revoke those two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ScopeId(u128);

/// How many bits of a [`ScopeId`] hold the kind.
const KIND_BITS: u32 = 3;

impl ScopeId {
    /// The id of `scope`.
    pub(super) fn of(scope: &Scope) -> Self {
        let texts: [Option<&str>; 2] = match scope {
            Scope::Token { issuer, id } => [Some(issuer), Some(id)],
            Scope::Session(id) | Scope::Client(id) => [None, Some(id)],
            Scope::Subject { issuer, subject: id } | Scope::Key { issuer, id } => {
                [issuer.as_deref(), Some(id)]
            }
            Scope::Issuer(issuer) => [Some(issuer), None],
            Scope::Everything => [None, None],
            Scope::Grants { issuer, subject } => [Some(issuer), Some(subject)],
        };
        Self::digest(scope.kind(), texts)
    }

    fn digest(kind: ScopeKind, texts: [Option<&str>; 2]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for text in texts {
            // The length separates the parts: `ab` + `c` is not `a` + `bc`.
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            context.update(&length.to_be_bytes());
            context.update(text.unwrap_or_default().as_bytes());
        }
        let full = context.finish();
        let bits =
            full.as_ref().iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte));
        Self(bits << KIND_BITS | kind as u128)
    }

    /// Its kind.
    pub(super) fn kind(self) -> ScopeKind {
        ScopeKind::ALL[self.kind_number()]
    }

    /// The bit of its kind in a set of kinds.
    pub(super) fn kind_bit(self) -> u8 {
        1 << self.kind_number()
    }

    /// Its bytes.
    pub(super) fn to_be_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    fn kind_number(self) -> usize {
        (self.0 & ((1 << KIND_BITS) - 1)) as usize
    }
}

/// All the scopes that match one credential. Built once, when it is verified.
#[derive(Debug)]
pub struct CredentialScopes(Box<[ScopeId]>);

/// The properties of a credential by which it can be revoked.
#[derive(Clone, Copy, Debug)]
pub struct Revocable<'a> {
    /// `iss`, or the equivalent.
    pub issuer: &'a str,
    /// `sub`.
    pub subject: &'a str,
    /// `jti`.
    pub token_id: Option<&'a str>,
    /// `sid`.
    pub session_id: Option<&'a str>,
    /// `client_id`.
    pub client_id: Option<&'a str>,
    /// The id of the key that verified the signature, not the one that the header names.
    pub key_id: Option<&'a str>,
    /// The party that granted it.
    pub granted_by: GrantedBy,
}

/// The party that granted a credential to its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantedBy {
    /// The gateway itself: by a login, or at the token endpoint.
    Gateway,
    /// Another issuer, or an operator who made an API key.
    Others,
}

impl CredentialScopes {
    /// The scopes of a credential with these properties.
    pub(in crate::gate) fn of(revocable: Revocable<'_>) -> Self {
        let Revocable { issuer, subject, token_id, session_id, client_id, key_id, granted_by } =
            revocable;
        let id = ScopeId::digest;
        let mut all = Vec::with_capacity(10);
        all.extend(token_id.map(|token| id(ScopeKind::Token, [Some(issuer), Some(token)])));
        all.extend(session_id.map(|session| id(ScopeKind::Session, [None, Some(session)])));
        all.push(id(ScopeKind::Subject, [Some(issuer), Some(subject)]));
        all.push(id(ScopeKind::Subject, [None, Some(subject)]));
        all.extend(client_id.map(|client| id(ScopeKind::Client, [None, Some(client)])));
        match granted_by {
            GrantedBy::Gateway => all.push(id(ScopeKind::Grants, [Some(issuer), Some(subject)])),
            GrantedBy::Others => {}
        }
        if let Some(key) = key_id {
            all.push(id(ScopeKind::Key, [Some(issuer), Some(key)]));
            all.push(id(ScopeKind::Key, [None, Some(key)]));
        }
        all.push(id(ScopeKind::Issuer, [Some(issuer), None]));
        all.push(id(ScopeKind::Everything, [None, None]));
        Self(all.into())
    }

    /// The scopes, in the order in which they are looked up.
    pub(super) fn iter(&self) -> impl Iterator<Item = ScopeId> {
        self.0.iter().copied()
    }

    /// Roughly what they occupy in addition to themselves, in bytes.
    pub(in crate::gate) fn weight(&self) -> usize {
        size_of_val(&*self.0)
    }
}
