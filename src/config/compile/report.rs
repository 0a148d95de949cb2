//! Reports problems of a section.

use super::compiler::Compiler;
use crate::config::document::{self, Document};
use crate::config::problem::{ConfigProblem, FieldPath, Severity};

impl Compiler<'_> {
    pub(super) fn report(
        &mut self,
        severity: Severity,
        field: &FieldPath,
        fact: &str,
        remedy: &str,
    ) {
        let (document, field) = self.place_of(field);
        // A value that could not be read was reported before, so it is not also missing.
        if document.is_pruned(&field) {
            return;
        }
        let line = document.line_of(&field);
        let problem = ConfigProblem { severity, ..document::problem(line, field, fact, remedy) };
        match &self.included {
            Some((file, place, included)) if std::ptr::eq(document, included) => {
                let (file, place) = (file.clone(), place.clone());
                self.retell(&file, &place, problem);
            }
            Some(_) | None => self.problems.push(problem),
        }
    }

    /// The document that holds a field, and the field's path in it.
    fn place_of(&self, field: &FieldPath) -> (&Document, FieldPath) {
        let included = self.included.as_ref().and_then(|(_, place, document)| {
            field.below(place).map(|field| (document, document.original(&field)))
        });
        included.unwrap_or_else(|| (&self.document, self.document.original(field)))
    }

    /// Reports a problem of a file at the field that names it.
    pub(super) fn retell(&mut self, file: &str, place: &FieldPath, problem: ConfigProblem) {
        let ConfigProblem { severity, line, field, fact, remedy } = problem;
        let line = line.map(|line| format!(" line {line}")).unwrap_or_default();
        let separator = if field == FieldPath::default() { "" } else { ": " };
        let fact = format!("`{file}`{line}: {field}{separator}{fact}");
        self.report(severity, place, &fact, &remedy);
    }

    /// Reports an error. Returns `None`, for the `?` of a caller that needs the value.
    pub(super) fn error<T>(&mut self, field: &FieldPath, fact: &str, remedy: &str) -> Option<T> {
        self.report(Severity::Error, field, fact, remedy);
        None
    }

    pub(super) fn warn(&mut self, field: &FieldPath, fact: &str, remedy: &str) {
        self.report(Severity::Warning, field, fact, remedy);
    }

    /// Reports that nothing is present, unless something of the kind was present and its problem
    /// was reported.
    pub(super) fn lacking<T>(
        &mut self,
        field: &FieldPath,
        wanted: &[FieldPath],
        fact: &str,
        remedy: &str,
    ) -> Option<T> {
        if wanted.iter().any(|wanted| self.is_reported(wanted)) {
            return None;
        }
        self.error(field, fact, remedy)
    }

    /// Reports that a list is empty, unless its items were reported and left out.
    pub(super) fn empty<T>(&mut self, field: &FieldPath, fact: &str, remedy: &str) -> Option<T> {
        self.lacking(field, std::slice::from_ref(field), fact, remedy)
    }

    /// Whether a problem was reported because something in this field could not be read.
    pub(super) fn is_reported(&self, field: &FieldPath) -> bool {
        let (document, field) = self.place_of(field);
        document.is_pruned_below(&field)
    }

    pub(super) fn required<T>(
        &mut self,
        value: Option<T>,
        field: &FieldPath,
        remedy: &str,
    ) -> Option<T> {
        match value {
            Some(value) => Some(value),
            None => self.error(field, "the field is missing", remedy),
        }
    }
}
