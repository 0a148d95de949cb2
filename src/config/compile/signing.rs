//! `tokens.signing` → the keys that sign tokens.

use std::time::Duration;

use super::compiler::Compiler;
use crate::config::problem::FieldPath;
use crate::config::tokens::{Signing, SigningKeys};
use crate::config::{raw, tls};
use crate::gate::keys::{Algorithm, KEYS_MAX, algorithm_of_private};
use crate::secret::Secret;
use crate::store::settings::StoreSettings;

const ALGORITHMS: [(&str, Algorithm); 3] =
    [("ES256", Algorithm::ES256), ("EdDSA", Algorithm::EdDSA), ("RS256", Algorithm::RS256)];
const PUBLISH_BEFORE_DEFAULT: Duration = Duration::from_hours(1);
const PUBLISH_BEFORE_MIN: Duration = Duration::from_secs(5);
const PUBLISH_BEFORE_MAX: Duration = Duration::from_hours(7 * 24);
const ROTATE_EVERY_MIN: Duration = Duration::from_mins(1);
const ENCRYPTION_KEY_BYTES_MIN: usize = 32;

impl Compiler<'_> {
    pub(super) fn signing(
        &mut self,
        raw: raw::Signing,
        store: Option<&StoreSettings>,
        field: &FieldPath,
    ) -> Option<Signing> {
        let raw::Signing {
            algorithm,
            rotate_every,
            publish_before,
            key_files,
            encryption_key_file,
            encryption_key,
        } = raw;
        let is_given = !key_files.is_empty() || self.is_reported(&field.key("key_files"));
        let unused = [
            ("rotate_every", rotate_every.is_some()),
            ("publish_before", publish_before.is_some()),
            ("encryption_key_file", encryption_key_file.is_some()),
            ("encryption_key", encryption_key.is_some()),
        ];
        for (key, _) in unused.into_iter().filter(|(_, said)| *said && is_given) {
            let fact = format!("`{key}` has no effect with `key_files`");
            self.error::<()>(&field.key(key), &fact, "Remove it, or `key_files`");
        }
        let algorithm_field = field.key("algorithm");
        let wanted = algorithm.is_some();
        let algorithm =
            self.choice(algorithm.as_deref(), &algorithm_field, &ALGORITHMS, Algorithm::ES256);
        let times = self.rotation(rotate_every, publish_before, field);
        if is_given {
            let keys = self.given_keys(&key_files, &field.key("key_files"))?;
            let (first, publish_before) = (keys.first()?.0, times?.1);
            if wanted && algorithm? != first {
                let fact = format!("the first of `key_files` is a key for {first:?}");
                return self.error(&algorithm_field, &fact, "Remove the field: the key decides");
            }
            let keys = SigningKeys::Given(keys.into_iter().map(|(_, key)| key).collect());
            return Some(Signing { algorithm: first, keys, publish_before, rotate_every: None });
        }
        let seal = self.encryption_key(encryption_key_file, encryption_key, field);
        let (rotate_every, publish_before) = times?;
        let seal = seal.ok()?;
        if seal.is_none() && matches!(store, Some(StoreSettings::Redis(_))) {
            let wanted = ["encryption_key_file", "encryption_key"].map(|key| field.key(key));
            let fact = "the private keys would be stored in Redis without encryption";
            let remedy = "Make a key with `openssl rand -base64 32 > secrets/kek`, and write \
                          `encryption_key_file: secrets/kek`";
            return self.lacking(field, &wanted, fact, remedy);
        }
        let keys = SigningKeys::Kept(seal);
        Some(Signing { algorithm: algorithm?, keys, publish_before, rotate_every })
    }

    /// How often keys change, and for how long they are published before that.
    fn rotation(
        &mut self,
        rotate_every: Option<String>,
        publish_before: Option<String>,
        field: &FieldPath,
    ) -> Option<(Option<Duration>, Duration)> {
        let publish_field = field.key("publish_before");
        let publish_before = self.duration(publish_before, &publish_field, PUBLISH_BEFORE_DEFAULT);
        let rotate_field = field.key("rotate_every");
        let rotate_every = match rotate_every {
            None => Some(None),
            some => self.duration(some, &rotate_field, Duration::ZERO).map(Some),
        };
        let publish_before = publish_before?;
        if !(PUBLISH_BEFORE_MIN..=PUBLISH_BEFORE_MAX).contains(&publish_before) {
            let fact = "the time is out of range";
            return self.error(&publish_field, fact, "Write 5s to 7d");
        }
        match rotate_every? {
            Some(short) if short < ROTATE_EVERY_MIN => {
                self.error(&rotate_field, "the time is shorter than a minute", "Write 1m or more")
            }
            Some(short) if short < 2 * publish_before => {
                let fact = "a key would be replaced soon after it starts to sign";
                let remedy = "Write at least twice as long as `publish_before` (by default 1h)";
                self.error(&rotate_field, fact, remedy)
            }
            rotate_every => Some((rotate_every, publish_before)),
        }
    }

    fn encryption_key(
        &mut self,
        file: Option<String>,
        text: Option<String>,
        field: &FieldPath,
    ) -> Result<Option<Secret>, ()> {
        let name = if file.is_some() { "encryption_key_file" } else { "encryption_key" };
        let key = self.secret(file.as_deref(), text, field, "encryption_key")?;
        let bytes = key.as_ref().map_or(ENCRYPTION_KEY_BYTES_MIN, |key| key.expose().len());
        if bytes < ENCRYPTION_KEY_BYTES_MIN {
            let fact = format!("the key has {bytes} bytes, at least 32 are required");
            self.error::<()>(&field.key(name), &fact, "Make one with `openssl rand -base64 32`");
            return Err(());
        }
        Ok(key)
    }

    /// The private keys, each with its signer.
    fn given_keys(
        &mut self,
        files: &[String],
        field: &FieldPath,
    ) -> Option<Vec<(Algorithm, Secret)>> {
        if files.len() > KEYS_MAX {
            let remedy = format!("Write {KEYS_MAX} at most");
            return self.error(field, "these are too many keys", &remedy);
        }
        let mut keys = Vec::new();
        for (index, file) in files.iter().enumerate() {
            let field = field.index(index);
            if files[..index].contains(file) {
                let fact = format!("`{file}` is listed twice");
                self.error::<()>(&field, &fact, "Remove one");
                continue;
            }
            let Some(pem) = self.read(file, &field).map(Secret::new) else { continue };
            let remedy = "Make one with `portcullis keys generate`";
            let algorithm = match tls::private_key(pem.expose()) {
                Ok(key) => algorithm_of_private(key.secret_pkcs8_der()),
                Err(fact) => {
                    self.error::<()>(&field, &fact, remedy);
                    continue;
                }
            };
            match algorithm {
                Some(algorithm) => keys.push((algorithm, pem)),
                None => {
                    let fact = format!("`{file}` holds no key for ES256, EdDSA or RS256");
                    self.error::<()>(&field, &fact, remedy);
                }
            }
        }
        (keys.len() == files.len()).then_some(keys)
    }
}
