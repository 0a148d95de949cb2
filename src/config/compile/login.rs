//! `login` → how users log in.

use std::sync::Arc;
use std::time::Duration;

use super::compiler::{Compiler, one_of_section};
use super::origin::is_origin;
use super::presence::Presence;
use super::upstreams::CompiledUpstreams;
use crate::config::login::{HandOff, Login, LoginMethod, OnFailure};
use crate::config::problem::FieldPath;
use crate::config::{raw, values};
use crate::gate::path::CanonicalPath;
use crate::store::attempts::AttemptBudget;

pub(super) const BASE_DEFAULT: &str = "/auth";
pub(super) const ISSUER_DEFAULT: &str = "gateway";
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(3);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
const PER_ACCOUNT_DEFAULT: AttemptBudget = AttemptBudget { attempts_max: 10, span_s: 15 * 60 };
pub(super) const PER_ADDRESS_DEFAULT: AttemptBudget =
    AttemptBudget { attempts_max: 100, span_s: 15 * 60 };
/// More than a user needs, and enough for a network of a thousand users in one morning.
const SUCCESSES_PER_ACCOUNT_DEFAULT: AttemptBudget =
    AttemptBudget { attempts_max: 60, span_s: 15 * 60 };
const SUCCESSES_PER_ADDRESS_DEFAULT: AttemptBudget =
    AttemptBudget { attempts_max: 1000, span_s: 15 * 60 };
const SPAN_MAX_S: u64 = 24 * 3600;

impl Compiler<'_> {
    /// Absent without a login method.
    pub(super) fn login(
        &mut self,
        raw: Option<raw::Login>,
        upstreams: &CompiledUpstreams,
        token_issuer: Option<&str>,
    ) -> Presence<Arc<Login>> {
        let field = FieldPath::default().key("login");
        match raw {
            Some(raw) => Presence::of(self.present_login(raw, &field, upstreams, token_issuer)),
            None if self.is_reported(&field) => Presence::Broken,
            None => Presence::Absent,
        }
    }

    fn present_login(
        &mut self,
        raw: raw::Login,
        field: &FieldPath,
        upstreams: &CompiledUpstreams,
        token_issuer: Option<&str>,
    ) -> Option<Arc<Login>> {
        let raw::Login { base, issuer, password_file, handoff, return_to, attempts } = raw;
        let base = self.base(base, &field.key("base"));
        let issuer = self.login_issuer(issuer, &field.key("issuer"), token_issuer);
        let (password_field, handoff_field) = (field.key("password_file"), field.key("handoff"));
        let method = match (password_file, handoff) {
            (Some(file), None) => self.users(&file, &password_field).map(LoginMethod::PasswordFile),
            (None, Some(raw)) => {
                self.hand_off(raw, &handoff_field, upstreams).map(LoginMethod::HandOff)
            }
            (Some(_), Some(_)) => self.error(
                &handoff_field,
                "both `password_file` and `handoff` are given",
                "Keep `password_file` or `handoff`",
            ),
            (None, None) => self.lacking(
                field,
                &[password_field, handoff_field],
                "no login method is given",
                "Add `password_file: users.yaml`, or `handoff`",
            ),
        };
        let return_to = self.return_to(return_to, &field.key("return_to"));
        let field = field.key("attempts");
        let raw::Attempts {
            per_account,
            per_address,
            successes_per_account,
            successes_per_address,
        } = attempts;
        let successes_per_account = self.budget(
            successes_per_account,
            &field.key("successes_per_account"),
            SUCCESSES_PER_ACCOUNT_DEFAULT,
        );
        let successes_per_address = self.budget(
            successes_per_address,
            &field.key("successes_per_address"),
            SUCCESSES_PER_ADDRESS_DEFAULT,
        );
        let per_account = self.budget(per_account, &field.key("per_account"), PER_ACCOUNT_DEFAULT);
        let per_address = self.budget(per_address, &field.key("per_address"), PER_ADDRESS_DEFAULT);
        Some(Arc::new(Login {
            base: base?,
            issuer: issuer?,
            method: method?,
            return_to,
            per_account: per_account?,
            per_address: per_address?,
            successes_per_account: successes_per_account?,
            successes_per_address: successes_per_address?,
        }))
    }

    /// The issuer of users who log in. With `tokens` it is the issuer of the tokens, because a
    /// revocation names a subject by issuer and `sub`.
    fn login_issuer(
        &mut self,
        issuer: Option<String>,
        field: &FieldPath,
        token_issuer: Option<&str>,
    ) -> Option<Box<str>> {
        let default = token_issuer.unwrap_or(ISSUER_DEFAULT);
        let issuer = issuer.unwrap_or_else(|| default.to_owned());
        if issuer.is_empty() || issuer.len() > 255 {
            let fact = "the issuer must have 1 to 255 bytes";
            return self.error(field, fact, "Write a name or a URL");
        }
        match token_issuer {
            Some(other) if other != issuer => {
                let fact = "a logout would not revoke the tokens, which have another issuer";
                self.error(field, fact, &format!("Remove it, or write `{other}`"))
            }
            Some(_) | None => Some(issuer.into()),
        }
    }

    fn base(&mut self, base: Option<String>, field: &FieldPath) -> Option<Box<str>> {
        let base = base.unwrap_or_else(|| BASE_DEFAULT.to_owned());
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~/".contains(&byte);
        let good = base.len() > 1
            && base.starts_with('/')
            && !base.ends_with('/')
            && !base.contains("//")
            && base.bytes().all(is_plain);
        if good {
            return Some(base.into());
        }
        let fact = format!("`{base}` cannot be the path below which the gateway's pages are");
        self.error(field, &fact, "Write a path such as /auth, without a slash at its end")
    }

    fn hand_off(
        &mut self,
        raw: raw::HandOff,
        field: &FieldPath,
        upstreams: &CompiledUpstreams,
    ) -> Option<HandOff> {
        let raw::HandOff { upstream, path, subject, roles, scopes, claims, timeout, on_failure } =
            raw;
        let upstream = self.hand_off_upstream(upstream, &field.key("upstream"), upstreams);
        let path_field = field.key("path");
        let path = self.required(path, &path_field, "Write a path such as /verify");
        let path = path.and_then(|path| match CanonicalPath::parse(&path) {
            Ok(_) => Some(path.into()),
            Err(error) => self.error(&path_field, &error.to_string(), "Write a path as it is sent"),
        });
        let subject_field = field.key("subject");
        let subject =
            self.required(subject, &subject_field, "Write its JSON pointer, such as /user/id");
        let subject = subject.and_then(|pointer| self.pointer(pointer, &subject_field));
        let roles = self.perhaps_pointer(roles, &field.key("roles"));
        let scopes = self.perhaps_pointer(scopes, &field.key("scopes"));
        let claims_field = field.key("claims");
        let claims: Vec<_> = claims
            .into_iter()
            .map(|(name, pointer)| {
                let field = claims_field.key(&name);
                self.pointer(pointer, &field).map(|pointer| (name.into(), pointer))
            })
            .collect();
        let timeout_field = field.key("timeout");
        let timeout = match self.duration(timeout, &timeout_field, TIMEOUT_DEFAULT) {
            Some(long) if long > TIMEOUT_MAX => {
                self.error(&timeout_field, "the time is longer than a minute", "Write 60s or less")
            }
            other => other,
        };
        let choices = [("own", OnFailure::Own), ("pass_through", OnFailure::PassThrough)];
        let on_failure_field = field.key("on_failure");
        let on_failure =
            self.choice(on_failure.as_deref(), &on_failure_field, &choices, OnFailure::Own);
        Some(HandOff {
            upstream: upstream?,
            path: path?,
            subject: subject?,
            roles: roles.whole().ok()?,
            scopes: scopes.whole().ok()?,
            claims: claims.into_iter().collect::<Option<_>>()?,
            timeout: timeout?,
            on_failure: on_failure?,
        })
    }

    fn hand_off_upstream(
        &mut self,
        name: Option<String>,
        field: &FieldPath,
        upstreams: &CompiledUpstreams,
    ) -> Option<usize> {
        let remedy = one_of_section("upstreams", upstreams.names());
        let name = self.required(name, field, &remedy)?;
        match upstreams.named(&name) {
            Presence::Present(position) => Some(position),
            Presence::Broken => None,
            Presence::Absent => {
                self.error(field, &format!("there is no upstream `{name}`"), &remedy)
            }
        }
    }

    fn perhaps_pointer(
        &mut self,
        pointer: Option<String>,
        field: &FieldPath,
    ) -> Presence<Box<str>> {
        match pointer {
            None => Presence::Absent,
            Some(pointer) => Presence::of(self.pointer(pointer, field)),
        }
    }

    fn pointer(&mut self, pointer: String, field: &FieldPath) -> Option<Box<str>> {
        if pointer.starts_with('/') {
            return Some(pointer.into());
        }
        let fact = format!("`{pointer}` is not a JSON pointer");
        self.error(field, &fact, "Write its place in the answer, such as /user/id")
    }

    /// Origins and whole URLs. Ambiguous text is refused.
    fn return_to(&mut self, listed: Vec<String>, field: &FieldPath) -> Vec<Box<str>> {
        let mut accepted = Vec::new();
        for (index, text) in listed.into_iter().enumerate() {
            let origin_end = text.find("://").and_then(|at| {
                Some(at + 3 + text.get(at + 3..)?.find('/').unwrap_or(text.len() - at - 3))
            });
            let good = origin_end.is_some_and(|end| {
                let (origin, path) = text.split_at(end);
                is_origin(origin) && (path.is_empty() || CanonicalPath::parse(path).is_ok())
            });
            if good {
                accepted.push(text.into());
                continue;
            }
            let fact = format!("`{text}` is neither an origin nor a URL");
            let remedy = "Write https://app.example for all of its pages, or the whole URL of one";
            self.error::<()>(&field.index(index), &fact, remedy);
        }
        accepted
    }

    fn budget(
        &mut self,
        text: Option<String>,
        field: &FieldPath,
        default: AttemptBudget,
    ) -> Option<AttemptBudget> {
        let Some(text) = text else { return Some(default) };
        let parsed = text.split_once('/').and_then(|(attempts, span)| {
            let attempts_max: u32 = attempts.trim().parse().ok()?;
            let span_s = values::duration(span.trim())?.as_secs();
            let sensible =
                (1..=1_000_000).contains(&attempts_max) && (1..=SPAN_MAX_S).contains(&span_s);
            sensible.then_some(AttemptBudget { attempts_max, span_s: u32::try_from(span_s).ok()? })
        });
        match parsed {
            Some(budget) => Some(budget),
            None => self.error(
                field,
                &format!("`{text}` is not a number of attempts and a time"),
                "Write a number and a time of up to a day, such as 10/15m",
            ),
        }
    }
}
