//! Reads the text format 0.0.4, strictly enough to notice what Prometheus would refuse.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::eventually;
use crate::harness::gateway::Gateway;

/// Everything that one scrape told.
pub(crate) struct Exposition {
    /// The kind of each family.
    pub(crate) kinds: BTreeMap<String, String>,
    pub(crate) samples: Vec<Sample>,
}

/// One line.
pub(crate) struct Sample {
    /// With `_bucket`, `_sum` or `_count`, for a histogram.
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Exposition {
    pub(crate) fn parse(text: &str) -> Self {
        let mut kinds = BTreeMap::new();
        let mut samples = Vec::new();
        for line in text.lines() {
            match line.strip_prefix("# ") {
                Some(comment) => {
                    if let Some(kind) = comment.strip_prefix("TYPE ") {
                        let (family, kind) = kind.split_once(' ').expect("a kind");
                        let earlier = kinds.insert(family.to_owned(), kind.to_owned());
                        assert!(earlier.is_none(), "{family} is told twice");
                    }
                }
                None => samples.push(Sample::parse(line)),
            }
        }
        Self { kinds, samples }
    }

    /// The sum over all series of `name` whose labels include `labels`.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let holds = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| {
                    sample.labels.get(*label).is_some_and(|found| found == value)
                })
        };
        self.samples.iter().filter(holds).map(|sample| sample.value).sum()
    }

    /// The labels of each series, by its name.
    pub(crate) fn labels(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for sample in &self.samples {
            let labels = sample.labels.keys().map(String::as_str);
            all.entry(&sample.name).or_default().extend(labels);
        }
        all
    }

    /// The values that a label has anywhere in a series.
    pub(crate) fn values(&self, name: &str, label: &str) -> BTreeSet<&str> {
        let named = self.samples.iter().filter(|sample| sample.name == name);
        named.filter_map(|sample| sample.labels.get(label)).map(String::as_str).collect()
    }
}

impl Sample {
    pub(crate) fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let value = value.parse().expect("a number");
        let Some((name, rest)) = series.split_once('{') else {
            return Self { name: series.to_owned(), labels: BTreeMap::new(), value };
        };
        let mut rest = rest.strip_suffix('}').expect("the end of the labels");
        let mut labels = BTreeMap::new();
        while !rest.is_empty() {
            let (label, after) = rest.split_once("=\"").expect("a label");
            let (text, after) = unquote(after);
            labels.insert(label.to_owned(), text);
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        Self { name: name.to_owned(), labels, value }
    }
}

/// The text up to the closing quote, and what follows it.
pub(crate) fn unquote(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (text, &quoted[at + 1..]),
            '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
            other => text.push(other),
        }
    }
    panic!("a quote is not closed: {quoted}");
}

impl Gateway {
    /// The metrics, taken apart.
    pub(crate) fn exposition(&self) -> Exposition {
        Exposition::parse(&self.metrics())
    }

    /// Waits until everything sent so far is counted: a request is counted before it is logged,
    /// and its answer may arrive before either.
    pub(crate) fn settle(&self, requests: usize) {
        eventually("the access log", || (self.log().len() >= requests).then_some(()));
    }
}
