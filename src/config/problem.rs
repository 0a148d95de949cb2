//! Problems of a configuration, each with what is needed to correct it: file, line, field, fact and
//! remedy.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// The path of a field in the document.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(pub(super) Vec<Segment>);

/// One step from a node to a child node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

impl FieldPath {
    /// The path of a member of this node.
    pub(super) fn key(&self, key: &str) -> Self {
        self.then(Segment::Key(key.to_owned()))
    }

    /// The path of an item of this node.
    pub(super) fn index(&self, index: usize) -> Self {
        self.then(Segment::Index(index))
    }

    /// The path from `around` to this node, if this node is below it.
    pub(super) fn below(&self, around: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(around.0.as_slice())?;
        (!rest.is_empty()).then(|| Self(rest.to_vec()))
    }

    fn then(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if position == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// How severe a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but an operator should know of the problem.
    Warning,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// How severe it is.
    pub severity: Severity,
    /// The line, from 1, if known.
    pub line: Option<usize>,
    /// The field; empty for the document as a whole.
    pub field: FieldPath,
    /// What is wrong.
    pub fact: String,
    /// What to write instead.
    pub remedy: String,
}

/// All problems of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file.
    pub file: PathBuf,
    /// The problems, in the order of the file.
    pub list: Vec<ConfigProblem>,
    /// Every file that was read, or should have been. A change to one of them may fix a problem.
    pub files: BTreeSet<PathBuf>,
}

impl Problems {
    pub(super) fn new(file: &Path, mut list: Vec<ConfigProblem>) -> Self {
        list.sort_by_key(|problem| (problem.line.unwrap_or(0), problem.field.clone()));
        list.dedup();
        Self { file: file.to_owned(), list, files: BTreeSet::from([file.to_owned()]) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.list.iter().enumerate() {
            if position > 0 {
                writeln!(f)?;
            }
            let ConfigProblem { severity, line, field, fact, remedy } = problem;
            write!(f, "{}:", self.file.display())?;
            if let Some(line) = line {
                write!(f, "{line}:")?;
            }
            match severity {
                Severity::Error => f.write_str(" error:")?,
                Severity::Warning => f.write_str(" warning:")?,
            }
            if !field.0.is_empty() {
                write!(f, " {field}:")?;
            }
            write!(f, " {fact}. {remedy}.")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
