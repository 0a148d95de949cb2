//! Login with a name and a password: each method finds out whose they are. None knows of sessions.

use std::sync::Arc;

use super::handoff::{Service, ServiceClients};
use super::name_and_password::NameAndPassword;
use super::outcome::{LoginOutcome, Sender};
use crate::config::login::LoginMethod;
use crate::gate::denial::Slug;
use crate::login::password_file;
use crate::password::hashing::Hashing;
use crate::upstream::Upstream;

/// What the login methods need beside their configuration, shared by all configurations.
#[derive(Debug)]
pub(super) struct PasswordMethods {
    hashing: Arc<Hashing>,
    clients: ServiceClients,
}

impl PasswordMethods {
    /// The methods, with room for so many logins that wait for an identity service at once.
    pub(super) fn new(hashing: Arc<Hashing>, hand_offs_max: usize) -> Self {
        Self { hashing, clients: ServiceClients::new(hand_offs_max) }
    }

    /// Finds out whose credentials these are.
    pub(super) async fn verify(
        &self,
        method: &LoginMethod,
        upstreams: &[Arc<Upstream>],
        credentials: &NameAndPassword,
        sender: Sender<'_>,
    ) -> LoginOutcome {
        match method {
            LoginMethod::PasswordFile(users) => {
                password_file::verify(&self.hashing, users, credentials, sender.client).await
            }
            LoginMethod::HandOff(settings) => match upstreams.get(settings.upstream) {
                Some(upstream) => {
                    self.clients.ask(Service { settings, upstream }, credentials, sender).await
                }
                None => LoginOutcome::Undecided(Slug::Internal.into()),
            },
        }
    }
}
