//! Every metric family, from the registry in which the program registers them.

use std::fmt::Write;

use expect_test::expect_file;
use portcullis::cli::metric_families;
use portcullis::telemetry::label::{Label, LabelValues};
use portcullis::telemetry::registry::RegisteredFamily;

use super::{head, page, row};

const ABOUT: &str = "\
`/metrics` on the admin listener answers in the Prometheus text format. The dashboard in
[`dashboards/`](../../dashboards/) imports into Grafana as it is.

The number of series is bounded: every label value is one of the words below, or a name from the
configuration. No label value comes from a request. Up to 500 routes have all their series from the
start; with more, those of a route begin with its first request. What the process uses is told as
`process_*` (CPU seconds, memory, open file descriptors).";

#[test]
fn metrics_page_lists_every_family_with_its_labels() {
    expect_file!["../../docs/reference/metrics.md"].assert_eq(&metrics());
}

fn metrics() -> String {
    let families = metric_families().expect("the families of the program");
    let mut text = page("Metrics", ABOUT);
    let mut room = None;
    for family in &families {
        if room != Some(&family.room) {
            room = Some(&family.room);
            write!(text, "\n## {}\n", title(&family.room)).expect("written");
            text += &head(["family", "kind", "labels", "meaning"]);
        }
        text += &family_row(family);
    }
    text
}

/// What readers call the room that counts something.
fn title(room: &str) -> &str {
    match room {
        "edge" => "Connections and requests",
        "telemetry/routes" => "Decisions and answers",
        "cli/serve" => "The program and its configuration",
        "admin/token_cache" => "Token cache",
        "telemetry/access_log" => "Access log",
        "feed" => "Store",
        "feed/jwks" => "Keys of issuers",
        "feed/revocations" => "Revocations",
        "feed/sessions" => "Sessions",
        "feed/signing" => "Signing keys and issued tokens",
        "oauth" => "Token endpoints",
        "login" => "Logins",
        _ => panic!("the room {room} needs a title here"),
    }
}

fn family_row(family: &RegisteredFamily) -> String {
    let RegisteredFamily { room: _, name, kind, labels, help } = family;
    let labels: Vec<_> = labels.iter().map(label).collect();
    row([&format!("`{name}`"), kind.as_str(), &labels.join("<br>"), help])
}

fn label(label: &Label) -> String {
    let values = match label.values {
        LabelValues::Named(what) => what.to_owned(),
        LabelValues::OneOf(words) => {
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
    };
    format!("`{}`: {values}", label.name)
}
