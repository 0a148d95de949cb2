//! `access_log` and `audit_log`: what is logged.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text;

/// The access log: one line for each request, on standard output. It never holds a credential.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend(
    "x-since" = "0.1.0",
    "if" = { "properties": { "subject": { "const": "hashed" } }, "required": ["subject"] },
    "then" = { "required": ["subject_key_file"] },
))]
pub(crate) struct AccessLog {
    /// Whether there is an access log.
    #[schemars(example = false, extend("default" = true))]
    pub(crate) enabled: Option<bool>,
    /// How the lines are written: `text` for people, `json` for machines, or `auto`: text on a
    /// terminal and JSON elsewhere.
    #[schemars(with = "text::LogFormat", example = &"json", extend("default" = "auto"))]
    pub(crate) format: Option<String>,
    /// How the subject of a request appears: `plain` as it is; `hashed` as a keyed hash, which
    /// needs `subject_key_file`; `omitted` not at all.
    #[schemars(with = "text::SubjectForm", example = &"hashed", extend("default" = "plain"))]
    pub(crate) subject: Option<String>,
    /// A file with the key for hashed subjects: a long random value, the same on every gateway.
    /// Only `subject: hashed` uses it.
    #[schemars(with = "text::Path", example = &"secrets/log.key", extend("x-default" = "none"))]
    pub(crate) subject_key_file: Option<String>,
    /// Whether the query is logged with the path. Queries often carry secrets.
    #[schemars(example = true, extend("default" = false))]
    pub(crate) query: Option<bool>,
}

/// The audit log: one JSON line for each change by an operator, and for each that the store
/// refused.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct AuditLog {
    /// The file to which the lines are appended.
    #[schemars(
        with = "text::Path",
        example = &"data/audit.jsonl",
        extend("x-default" = "standard output")
    )]
    pub(crate) file: Option<String>,
}
