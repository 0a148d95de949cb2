//! `portcullis openapi`: the OpenAPI document of the admin API.

use clap::Args;

use super::{Failure, table};
use crate::openapi::admin;

#[derive(Debug, Args)]
pub(super) struct OpenApi {}

impl OpenApi {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self {} = self;
        let text = admin::document().to_pretty_json().map_err(Failure::failed)?;
        table::print(&format!("{text}\n"))
    }
}
