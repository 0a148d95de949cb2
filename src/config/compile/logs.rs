//! `access_log` and `audit_log` → what is logged, and where.

use std::path::PathBuf;

use super::compiler::Compiler;
use super::presence::Presence;
use crate::config::problem::FieldPath;
use crate::config::{AccessLogSettings, LogFormat, QueryInLog, SubjectInLog, raw};

impl Compiler<'_> {
    pub(super) fn access_log(&mut self, raw: raw::AccessLog) -> Option<AccessLogSettings> {
        let field = FieldPath::default().key("access_log");
        let raw::AccessLog { enabled, format, subject, subject_key_file, query } = raw;
        let formats =
            [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];
        let format =
            self.choice(format.as_deref(), &field.key("format"), &formats, LogFormat::Auto);
        let subjects = [("plain", 0), ("hashed", 1), ("omitted", 2)];
        let subject = self.choice(subject.as_deref(), &field.key("subject"), &subjects, 0);
        let key = self.secret(subject_key_file.as_deref(), None, &field, "subject_key");
        let subject = match (subject?, key.ok()?) {
            (0, _) => SubjectInLog::Plain,
            (1, Some(key)) => SubjectInLog::Hashed(key),
            (1, None) => {
                return self.error(
                    &field.key("subject_key_file"),
                    "hashed subjects need a key",
                    "Name a file with a long random value, the same on every gateway",
                );
            }
            _ => SubjectInLog::Omitted,
        };
        Some(AccessLogSettings {
            format: if enabled.unwrap_or(true) { format? } else { LogFormat::Off },
            subject,
            query: if query.unwrap_or(false) { QueryInLog::Shown } else { QueryInLog::Omitted },
        })
    }

    /// The file, if it is not standard output.
    pub(super) fn audit_log(&mut self, raw: raw::AuditLog) -> Presence<PathBuf> {
        let Some(file) = raw.file else { return Presence::Absent };
        let path = self.path(&file);
        if file.is_empty() || path.is_dir() {
            let field = FieldPath::default().key("audit_log").key("file");
            let fact = format!("`{file}` cannot be the audit log: it is a directory");
            return Presence::of(self.error(&field, &fact, "Name a file"));
        }
        Presence::Present(path)
    }
}
