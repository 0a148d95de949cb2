//! `portcullis openapi`: the OpenAPI documents.

use clap::{Args, ValueEnum};

use super::{Failure, table};
use crate::openapi::{admin, gateway};

#[derive(Debug, Args)]
pub(super) struct OpenApi {
    /// API that the document describes.
    #[arg(long, value_enum, default_value_t = Api::Admin)]
    api: Api,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Api {
    /// The API of the admin listener.
    Admin,
    /// The gateway's own endpoints: logins, sessions and tokens.
    Gateway,
}

impl OpenApi {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { api } = self;
        let document = match api {
            Api::Admin => admin::document(),
            Api::Gateway => gateway::document(),
        };
        let text = document.to_pretty_json().map_err(Failure::failed)?;
        table::print(&format!("{text}\n"))
    }
}
