//! `portcullis schema`: the schema of `gateway.yaml`, for editors and other programs.

use super::{Failure, table};
use crate::config;

pub(super) fn run() -> Result<(), Failure> {
    table::print(&format!("{:#}\n", config::schema()))
}
