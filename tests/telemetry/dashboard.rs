//! The dashboard asks for nothing that the gateway does not tell.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::BusyGateway;
use crate::harness::exposition::Exposition;

const DASHBOARD: &str = include_str!("../../dashboards/portcullis.json");

/// What Prometheus adds to every series when it collects them.
const TARGET_LABELS: [&str; 2] = ["instance", "job"];

/// Functions and aggregations of PromQL that take no label names as bare words.
const FUNCTIONS: [&str; 24] = [
    "abs",
    "avg",
    "avg_over_time",
    "ceil",
    "changes",
    "clamp_min",
    "count",
    "delta",
    "deriv",
    "floor",
    "histogram_quantile",
    "increase",
    "irate",
    "label_replace",
    "label_values",
    "max",
    "max_over_time",
    "min",
    "rate",
    "round",
    "sort_desc",
    "sum",
    "topk",
    "vector",
];

const OPERATORS: [&str; 7] = ["and", "or", "unless", "bool", "offset", "atan2", "inf"];

/// After these a list of labels follows, perhaps an empty one.
const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number,
    /// A variable of Grafana.
    Variable,
    Sign(String),
}

/// Takes an expression apart. Ranges (`[5m]`) are left out: they name nothing.
fn tokens(expression: &str) -> Vec<Token> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = |rest: &str| rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (token, end) = match first {
            '[' => (None, rest.find(']').expect("the end of a range") + 1),
            '"' => {
                let end = rest[1..].find('"').expect("the end of a text") + 2;
                (Some(Token::Text(rest[1..end - 1].to_owned())), end)
            }
            '$' => (Some(Token::Variable), 1 + length(&rest[1..])),
            c if c.is_ascii_digit() => {
                let is_number = |c: char| is_word(c) || c == '.';
                let end = rest.find(|c: char| !is_number(c)).unwrap_or(rest.len());
                (Some(Token::Number), end)
            }
            c if is_word(c) => (Some(Token::Word(rest[..length(rest)].to_owned())), length(rest)),
            _ => {
                let two =
                    rest.get(..2).filter(|two| ["=~", "!~", "!=", "==", ">=", "<="].contains(two));
                let sign = two.unwrap_or(&rest[..1]);
                assert!("=~!=<>(){},+-*/%^".contains(sign), "{sign} in {expression}");
                (Some(Token::Sign(sign.to_owned())), sign.len())
            }
        };
        tokens.extend(token);
        rest = rest[end..].trim_start();
    }
    tokens
}

/// What is asked of labels: name, operator and value.
type Selector = Vec<(String, String, String)>;

/// What an expression names.
#[derive(Debug, Default)]
struct Names {
    /// The series, each with what is asked of it.
    series: Vec<(String, Selector)>,
    /// The labels after `by`, `on` and the like.
    grouped: BTreeSet<String>,
}

impl Names {
    fn of(expression: &str) -> Self {
        let mut names = Self::default();
        let tokens = tokens(expression);
        let is_sign = |at: usize, sign: &str| tokens.get(at) == Some(&Token::Sign(sign.to_owned()));
        let mut at = 0;
        while at < tokens.len() {
            let Token::Word(word) = &tokens[at] else {
                at += 1;
                continue;
            };
            at += 1;
            if GROUPINGS.contains(&word.as_str()) {
                if is_sign(at, "(") {
                    at += 1;
                    while !is_sign(at, ")") {
                        if let Token::Word(label) = &tokens[at] {
                            names.grouped.insert(label.clone());
                        }
                        at += 1;
                    }
                }
            } else if is_sign(at, "(") || is_grouped(&tokens, at) {
                assert!(FUNCTIONS.contains(&word.as_str()), "{word} in {expression}");
            } else if !OPERATORS.contains(&word.as_str()) {
                let mut selector = Selector::new();
                if is_sign(at, "{") {
                    at += 1;
                    while !is_sign(at, "}") {
                        if let [Token::Word(label), Token::Sign(operator), Token::Text(value)] =
                            &tokens[at..at + 3]
                        {
                            selector.push((label.clone(), operator.clone(), value.clone()));
                            at += 2;
                        }
                        at += 1;
                    }
                }
                names.series.push((word.clone(), selector));
            }
        }
        names
    }
}

/// `sum by (…) (…)`: the aggregation's own parenthesis comes later.
fn is_grouped(tokens: &[Token], at: usize) -> bool {
    matches!(tokens.get(at), Some(Token::Word(word)) if word == "by" || word == "without")
}

/// Each expression of the dashboard with its legend.
fn expressions(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            if let Some(expression) = members.get("expr").and_then(Value::as_str) {
                let legend = members.get("legendFormat").and_then(Value::as_str);
                found.push((expression.to_owned(), legend.unwrap_or_default().to_owned()));
            }
            members.values().for_each(|member| expressions(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).expect("the dashboard is JSON")
}

fn all_expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    expressions(&dashboard(), &mut found);
    assert!(found.len() > 20, "the dashboard has panels: {found:?}");
    found
}

/// Expressions of the dashboard's variables: `label_values(series, label)`.
fn variables() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let list = dashboard["templating"]["list"].as_array().expect("variables");
    let definitions = list.iter().filter_map(|variable| variable["definition"].as_str());
    let split = |definition: &str| {
        let inner = definition.strip_prefix("label_values(")?.strip_suffix(')')?;
        let (series, label) = inner.rsplit_once(',')?;
        Some((series.trim().to_owned(), label.trim().to_owned()))
    };
    let variables: Vec<_> =
        definitions.map(|text| split(text).unwrap_or_else(|| panic!("{text}"))).collect();
    assert!(!variables.is_empty());
    variables
}

struct Told<'e> {
    exposition: &'e Exposition,
    labels: BTreeMap<&'e str, BTreeSet<&'e str>>,
}

impl<'e> Told<'e> {
    fn by(exposition: &'e Exposition) -> Self {
        Self { exposition, labels: exposition.labels() }
    }

    fn has(&self, series: &str, label: &str) -> bool {
        TARGET_LABELS.contains(&label)
            || self.labels.get(series).is_some_and(|labels| labels.contains(label))
    }

    /// What an expression names that nobody tells.
    fn missing(&self, expression: &str, legend: &str) -> Vec<String> {
        let names = Names::of(expression);
        assert!(!names.series.is_empty(), "an expression about nothing: {expression}");
        let mut missing = Vec::new();
        for (series, selector) in &names.series {
            if !self.labels.contains_key(series.as_str()) {
                missing.push(format!("the series {series}"));
                continue;
            }
            for (label, operator, value) in selector {
                if !self.has(series, label) {
                    missing.push(format!("the label {label} of {series}"));
                } else if operator != "=~"
                    && !value.is_empty()
                    && !self.exposition.values(series, label).contains(value.as_str())
                {
                    missing.push(format!("the value {value} of {label} of {series}"));
                }
            }
        }
        let in_legend = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
        let in_legend = in_legend.map(|label| label.trim().to_owned());
        for label in names.grouped.iter().cloned().chain(in_legend) {
            if !names.series.iter().any(|(series, _)| self.has(series, &label)) {
                missing.push(format!("the label {label}"));
            }
        }
        missing
    }
}

#[test]
fn dashboard_asks_for_nothing_that_is_not_told() {
    let busy = BusyGateway::start();
    let exposition = busy.gateway.exposition();
    let told = Told::by(&exposition);
    let mut missing = Vec::new();
    for (expression, legend) in all_expressions() {
        for what in told.missing(&expression, &legend) {
            missing.push(format!("{what} in {expression}"));
        }
    }
    for (series, label) in variables() {
        missing.extend(told.missing(&series, &format!("{{{{{label}}}}}")));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Every family of ours has a place on the dashboard, or nobody will see it.
#[test]
fn dashboard_shows_every_family() {
    let busy = BusyGateway::start();
    let exposition = busy.gateway.exposition();
    let ours = exposition.kinds.keys().filter(|family| family.starts_with("portcullis_"));
    let shown: BTreeSet<String> = all_expressions()
        .iter()
        .flat_map(|(expression, _)| Names::of(expression).series)
        .map(|(series, _)| series.trim_end_matches("_bucket").to_owned())
        .collect();
    let unseen: Vec<_> = ours.filter(|family| !shown.contains(*family)).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}

/// A legend tells series apart by labels that the expression keeps.
#[test]
fn legend_names_only_labels_that_the_expression_keeps() {
    for (expression, legend) in all_expressions() {
        let names = Names::of(&expression);
        if names.grouped.is_empty() {
            continue;
        }
        for label in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
            let is_kept = names.grouped.contains(label);
            assert!(is_kept, "{label} in {expression}");
        }
    }
}

#[test]
fn expression_is_taken_apart_as_prometheus_would() {
    let names = Names::of(
        "label_replace(histogram_quantile(0.99, sum by (le, route) (rate(a_bucket{x!=\"1\", \
         y=~\"$z\"}[$__rate_interval]))) / on (job) b offset 5m > 0 or vector(0), \"q\", \"\", \
         \"r\", \"\")",
    );
    let selector = |label: &str, operator: &str, value: &str| {
        (label.to_owned(), operator.to_owned(), value.to_owned())
    };
    let asked = vec![selector("x", "!=", "1"), selector("y", "=~", "$z")];
    assert_eq!(names.series, [("a_bucket".to_owned(), asked), ("b".to_owned(), Vec::new())]);
    assert_eq!(names.grouped, ["job", "le", "route"].map(str::to_owned).into());
}

/// The test that finds nothing missing could find something.
#[test]
fn what_is_not_told_is_found_missing() {
    let told = "a_total{x=\"1\"} 1\n";
    let exposition = Exposition::parse(told);
    let told = Told::by(&exposition);
    assert!(
        told.missing("sum by (x, job) (rate(a_total{x=\"1\",instance=~\"i\"}[5m]))", "{{x}}")
            .is_empty()
    );
    for (expression, legend, what) in [
        ("rate(b_total[5m])", "", "the series b_total"),
        ("a_total{y=\"1\"}", "", "the label y of a_total"),
        ("a_total{x=\"2\"}", "", "the value 2 of x of a_total"),
        ("sum by (y) (a_total)", "", "the label y"),
        ("a_total", "{{y}}", "the label y"),
    ] {
        assert_eq!(told.missing(expression, legend), [what], "{expression}");
    }
}
