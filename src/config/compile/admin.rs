//! `admin` → where operators connect, and with which token.

use std::net::SocketAddr;
use std::path::Path;

use super::compiler::Compiler;
use crate::config::problem::FieldPath;
use crate::config::{Admin, AdminToken, raw};

const ADDRESS_DEFAULT: &str = "127.0.0.1:9901";
/// Where the token is, in the data directory, unless the configuration gives one.
const TOKEN_FILE: &str = "admin.token";

impl Compiler<'_> {
    pub(super) fn admin(
        &mut self,
        raw: raw::Admin,
        taken: &[SocketAddr],
        data_directory: &Path,
    ) -> Option<Admin> {
        let field = FieldPath::default().key("admin");
        let raw::Admin { address, token_file, token } = raw;
        let address = address.unwrap_or_else(|| ADDRESS_DEFAULT.to_owned());
        let address = self.address(Some(address), &field.key("address"));
        let token = self.secret(token_file.as_deref(), token, &field, "token").ok();
        if let Some(address) = address {
            self.refuse_taken(address, taken, &field.key("address"));
        }
        let (address, token) = (address?, token?);
        let token = match token {
            Some(token) => AdminToken::Given(token),
            None if address.ip().is_loopback() => {
                let file = data_directory.join(TOKEN_FILE);
                // A new token must not require a restart of the gateway.
                self.files.insert(file.clone());
                AdminToken::Kept(file)
            }
            None => {
                return self.lacking(
                    &field.key("token_file"),
                    &[field.key("token"), field.key("token_file")],
                    "an admin listener that others can reach needs a token",
                    "Add `token_file`, or listen on a loopback address",
                );
            }
        };
        Some(Admin { address, token })
    }
}
