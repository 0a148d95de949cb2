//! `clients`, and the file with further clients → which clients may ask for tokens.

use std::collections::BTreeMap;
use std::time::Duration;

use super::compiler::{Compiler, whole_seconds};
use super::keys::is_hmac;
use super::presence::Presence;
use super::tokens::TokenParts;
use super::users::cost_of;
use crate::config::document::Document;
use crate::config::login::Login;
use crate::config::problem::FieldPath;
use crate::config::raw;
use crate::config::tokens::{
    Access, Client, ClientAuthentication, Clients, FIRST_PARTY_CLIENT, Introspection,
};
use crate::gate::keys::KeySet;
use crate::secret::Secret;

const ID_BYTES_MAX: usize = 128;
const HASH_REMEDY: &str = "Write the output of `portcullis password hash` for the secret";

/// How a client authenticates, as written.
struct RawAuthentication {
    secret_hash: Option<String>,
    public_key_file: Option<String>,
    jwks_file: Option<String>,
    algorithms: Vec<String>,
    public: Option<bool>,
}

impl Compiler<'_> {
    /// They are also read without `tokens`, to report their own mistakes.
    pub(super) fn clients(
        &mut self,
        listed: Vec<raw::Client>,
        file: Option<String>,
        tokens: Presence<&TokenParts>,
        login: Option<&Login>,
    ) -> Option<Clients> {
        let (field, file_field) =
            (FieldPath::default().key("clients"), FieldPath::default().key("clients_file"));
        if tokens.is_absent() {
            let given = [(&field, !listed.is_empty()), (&file_field, file.is_some())].into_iter();
            for (field, _) in given.filter(|(_, given)| *given) {
                let fact = "clients need tokens, and the gateway issues none";
                let remedy = "Add `tokens: { issuer: https://gateway.example, … }`, or remove this";
                self.error::<()>(field, fact, remedy);
            }
        }
        let in_file = match file {
            None => Vec::new(),
            Some(file) => self.client_file(&file, &file_field).unwrap_or_default(),
        };
        let fields = (0..listed.len()).map(|index| field.index(index));
        let fields: Vec<_> =
            fields.chain((0..in_file.len()).map(|index| file_field.index(index))).collect();
        let all: Vec<_> = listed.into_iter().chain(in_file).collect();
        let ids = fields.iter().map(|field| field.key("id"));
        self.unique(ids.zip(all.iter().map(|raw| raw.id.as_deref())), "a client");
        let access = tokens.present().and_then(|parts| parts.access.as_ref());
        let users = login.and_then(|login| login.method.users());
        let mut clients = BTreeMap::new();
        for (raw, field) in all.into_iter().zip(fields) {
            let id = raw.id.clone();
            let subjects = users.into_iter().flat_map(|users| users.0.values());
            let mut subjects = subjects.map(|user| &*user.identity.subject);
            if let Some(id) = &id
                && subjects.any(|subject| *subject == **id)
            {
                let fact = format!(
                    "`{id}` is also the subject of a user: their tokens would look the same"
                );
                self.error::<()>(&field.key("id"), &fact, "Choose another id");
            }
            let client = self.client(raw, &field, access);
            clients.extend(client.map(|client| (client.id.clone(), client)));
        }
        let first_party = first_party(access?);
        clients.insert(first_party.id.clone(), first_party);
        Some(Clients(clients))
    }

    /// The clients of a file, read like the configuration.
    fn client_file(&mut self, file: &str, field: &FieldPath) -> Option<Vec<raw::Client>> {
        let bytes = self.read(file, field)?;
        let Ok(text) = String::from_utf8(bytes) else {
            let fact = format!("`{file}` is not UTF-8");
            return self.error(field, &fact, "Write it as text");
        };
        let path = self.path(file);
        let parsed = Document::parse(&path, text, self.environment);
        let (mut document, mut problems) = match parsed {
            Ok(parsed) => parsed,
            Err(problem) => {
                self.retell(file, field, problem);
                return None;
            }
        };
        let (raw, structural) = document.read();
        problems.extend(structural);
        for problem in problems {
            self.retell(file, field, problem);
        }
        self.included = Some((file.to_owned(), field.clone(), document));
        raw
    }

    fn client(
        &mut self,
        raw: raw::Client,
        field: &FieldPath,
        access: Option<&Access>,
    ) -> Option<Client> {
        let raw::Client {
            id,
            secret_hash,
            public_key_file,
            jwks_file,
            algorithms,
            public,
            scopes,
            audiences,
            lifetime,
            introspection,
        } = raw;
        let id = self.client_id(id, &field.key("id"));
        let authentication =
            RawAuthentication { secret_hash, public_key_file, jwks_file, algorithms, public };
        let authentication = self.client_authentication(authentication, field);
        for (index, scope) in scopes.iter().enumerate() {
            self.scope(scope, &field.key("scopes").index(index));
        }
        let default_s = access.map_or(0, |access| access.lifetime_s);
        let lifetime_s = match lifetime {
            None => Some(default_s),
            some => self
                .access_lifetime(some, &field.key("lifetime"), Duration::ZERO)
                .map(whole_seconds),
        };
        let audiences = self.client_audiences(audiences, &field.key("audiences"), access);
        let introspection = match introspection {
            Some(true) => Introspection::Permitted,
            Some(false) | None => Introspection::Refused,
        };
        let authentication = authentication?;
        if authentication.is_public() && introspection == Introspection::Permitted {
            let fact = "a public client has no secret, so anybody could introspect tokens";
            let remedy = "Remove it, or give the client a `secret_hash`";
            return self.error(&field.key("introspection"), fact, remedy);
        }
        Some(Client {
            id: id?,
            authentication,
            scopes: scopes.into_iter().map(Into::into).collect(),
            audiences,
            lifetime_s: lifetime_s?,
            introspection,
        })
    }

    /// RFC 6749 §A.1, without spaces, and without the colon that ends it in Basic authentication.
    fn client_id(&mut self, id: Option<String>, field: &FieldPath) -> Option<Box<str>> {
        let id = self.required(id, field, "Give the client an id, such as reports")?;
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b':';
        if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(is_plain) {
            let fact = format!("`{}` cannot be the id of a client", id.escape_debug());
            let remedy = "Use up to 128 visible ASCII characters, without spaces and `:`";
            return self.error(field, &fact, remedy);
        }
        if id == FIRST_PARTY_CLIENT {
            let fact = format!("`{id}` is the client of logins that name none");
            return self.error(field, &fact, "Choose another id");
        }
        Some(id.into())
    }

    fn client_authentication(
        &mut self,
        raw: RawAuthentication,
        field: &FieldPath,
    ) -> Option<ClientAuthentication> {
        let RawAuthentication { secret_hash, public_key_file, jwks_file, algorithms, public } = raw;
        let has_keys = public_key_file.is_some() || jwks_file.is_some();
        let algorithms_field = field.key("algorithms");
        if !algorithms.is_empty() && !has_keys {
            let fact = "`algorithms` only goes with public_key_file and jwks_file";
            self.error::<()>(&algorithms_field, fact, "Remove it");
        }
        let is_public = public.unwrap_or(false);
        let given =
            [secret_hash.is_some(), public_key_file.is_some(), jwks_file.is_some(), is_public];
        if given.into_iter().filter(|given| *given).count() != 1 {
            let wanted = ["secret_hash", "public_key_file", "jwks_file", "public"];
            let wanted = wanted.map(|key| field.key(key));
            let fact = "there must be exactly one way to authenticate: secret_hash, \
                        public_key_file, jwks_file or public";
            let remedy = "Add `secret_hash`, with the output of `portcullis password hash`";
            return self.lacking(field, &wanted, fact, remedy);
        }
        if let Some(hash) = secret_hash {
            return self.secret_hash(hash, &field.key("secret_hash"));
        }
        if !has_keys {
            return Some(ClientAuthentication::None);
        }
        let permitted = self.algorithms(&algorithms, "client", &algorithms_field)?;
        if let Some(index) = permitted.iter().position(|algorithm| is_hmac(*algorithm)) {
            let fact = format!("{:?} needs a secret, and this key is public", permitted[index]);
            return self.error(&algorithms_field.index(index), &fact, "Write ES256 or the like");
        }
        let set = self.client_keys(public_key_file, jwks_file, &permitted, field)?;
        Some(ClientAuthentication::PrivateKey(set.into()))
    }

    fn client_keys(
        &mut self,
        public_key_file: Option<String>,
        jwks_file: Option<String>,
        permitted: &[crate::gate::keys::Algorithm],
        field: &FieldPath,
    ) -> Option<KeySet> {
        let (jwks, pem) = (jwks_file.as_deref(), public_key_file.as_deref());
        let set = self.fixed_keys(jwks, pem, None, None, Some(permitted), field)?;
        self.tell_unserved(permitted, "client", field, &set, jwks.is_some());
        Some(set)
    }

    /// A secret is never printed, even if it is written where its hash should be.
    fn secret_hash(&mut self, hash: String, field: &FieldPath) -> Option<ClientAuthentication> {
        match cost_of(&hash) {
            Ok(_) => Some(ClientAuthentication::Secret(Secret::new(hash.into_bytes()))),
            Err(why) => self.error(field, &format!("the secret {why}"), HASH_REMEDY),
        }
    }

    fn client_audiences(
        &mut self,
        audiences: Vec<String>,
        field: &FieldPath,
        access: Option<&Access>,
    ) -> Vec<Box<str>> {
        let accepted = access.map(|access| access.audiences.as_slice()).unwrap_or_default();
        for (index, audience) in audiences.iter().enumerate() {
            let field = field.index(index);
            if audience.is_empty() {
                self.error::<()>(&field, "the audience is empty", "Write the name of a service");
            } else if access.is_some() && !accepted.iter().any(|one| **one == **audience) {
                let fact = format!("the gateway itself does not accept tokens for `{audience}`");
                self.warn(&field, &fact, "Add it to `tokens.access.audiences` if it should");
            }
        }
        if audiences.is_empty() {
            return accepted.to_vec();
        }
        audiences.into_iter().map(Into::into).collect()
    }
}

fn first_party(access: &Access) -> Client {
    Client {
        id: FIRST_PARTY_CLIENT.into(),
        authentication: ClientAuthentication::None,
        scopes: Vec::new(),
        audiences: access.audiences.clone(),
        lifetime_s: access.lifetime_s,
        introspection: Introspection::Refused,
    }
}
