//! `portcullis check`: does the configuration compile, and who may do what?

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{ConfigFile, Failure, table};
use crate::config::Settings;
use crate::gate::credential::Carrier;
use crate::gate::path::Ambiguity;
use crate::gate::policy::{Authenticate, Policy, WhenStale};
use crate::gate::route::alias::Alias;
use crate::gate::route::{HostPattern, Route, RouteMatch};

const HEADER: [&str; 6] = ["ROUTE", "HOSTS", "METHODS", "PATH", "UPSTREAM", "POLICY"];

const EXAMPLES: &str = "\
Examples:
  Before a reload; exit code 2 if the file has errors:
    portcullis check --config /etc/portcullis/gateway.yaml

  Which routes are open to anybody?
    portcullis check --json | jq '.routes[] | select(.public)'";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    #[command(flatten)]
    file: ConfigFile,
    /// Print the routes, and the paths that are refused as aliases, as one line of JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let settings = Settings::load(&self.file.config)
            .map_err(|problems| Failure::BadInput(problems.to_string()))?;
        if !settings.warnings.list.is_empty() {
            eprintln!("{}", settings.warnings);
        }
        let rows: Vec<RouteRow> = settings
            .gate
            .routes
            .routes()
            .iter()
            .zip(&settings.matches)
            .map(|(route, matching)| RouteRow::new(&settings, route, matching))
            .collect();
        let text = if self.json {
            let aliases = settings.gate.routes.aliases(&settings.matches);
            let aliases: Vec<_> = aliases.iter().map(|alias| in_json(alias, &rows)).collect();
            let rows: Vec<_> = rows.iter().map(RouteRow::to_json).collect();
            format!("{}\n", json!({ "routes": rows, "refused_aliases": aliases }))
        } else {
            let public = rows.iter().filter(|row| row.public).count();
            let file = settings.file.display();
            let cells = rows.iter().map(RouteRow::cells).collect();
            let table = table::lay_out(&HEADER, cells);
            let routes = if rows.len() == 1 { "route" } else { "routes" };
            format!("{table}\n{file}: {} {routes}, {public} of them public\n", rows.len())
        };
        table::print(&text)
    }
}

/// One route, in words.
pub(super) struct RouteRow {
    pub(super) name: String,
    pub(super) hosts: String,
    pub(super) methods: String,
    pub(super) path: String,
    pub(super) policy: String,
    pub(super) upstream: String,
    pub(super) public: bool,
}

impl RouteRow {
    pub(super) fn new(settings: &Settings, route: &Route, matching: &RouteMatch) -> Self {
        let RouteMatch { hosts, path, methods } = matching;
        let hosts: Vec<_> = hosts
            .iter()
            .map(|host| match host {
                HostPattern::Exact(host) => host.clone(),
                HostPattern::Below(host) => format!("*.{host}"),
            })
            .collect();
        let methods: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
        let (policy, public) = match &route.policy {
            Policy::Public => ("PUBLIC: anybody".to_owned(), true),
            Policy::Authenticate(rule) => (describe(settings, rule), false),
        };
        let told = route.internal_token.and_then(|place| settings.internal_tokens.get(place));
        let told = told.map(|token| format!(", internal token for {}", token.audience));
        let policy = policy + &told.unwrap_or_default();
        let upstream = settings.upstreams.get(route.upstream);
        Self {
            name: route.name.to_string(),
            hosts: or_any(&hosts.join(" ")),
            methods: or_any(&methods.join(" ")),
            path: path.clone(),
            policy,
            upstream: upstream.map(|upstream| upstream.name.to_string()).unwrap_or_default(),
            public,
        }
    }

    fn cells(&self) -> Vec<String> {
        let Self { name, hosts, methods, path, policy, upstream, public: _ } = self;
        [name, hosts, methods, path, upstream, policy].map(Clone::clone).into()
    }

    fn to_json(&self) -> serde_json::Value {
        let Self { name, hosts, methods, path, policy, upstream, public } = self;
        json!({
            "name": name, "hosts": hosts, "methods": methods, "path": path,
            "policy": policy, "upstream": upstream, "public": public,
        })
    }
}

/// A refused spelling, and why it is refused.
fn in_json(alias: &Alias, rows: &[RouteRow]) -> serde_json::Value {
    let Alias { of, served_by, by, spelling } = alias;
    let name = |at: &usize| rows.get(*at).map(|row| row.name.as_str());
    let by: Vec<_> = by.iter().map(Ambiguity::name).collect();
    json!({ "path": spelling, "of": name(of), "instead_of": name(served_by), "dangerous_path": by })
}

fn describe(settings: &Settings, rule: &Authenticate) -> String {
    let Authenticate { carriers, issuers, requirement, when_stale } = rule;
    let carriers: Vec<_> = carriers.iter().map(|carrier| Carrier::as_str(*carrier)).collect();
    let issuers: Vec<_> = settings
        .issuers
        .iter()
        .enumerate()
        .filter(|(place, _)| issuers.contains(place))
        .map(|(_, issuer)| &*issuer.rules.name)
        .collect();
    let mut text = carriers.join(" or ");
    if !issuers.is_empty() {
        text.push_str(&format!(" from {}", issuers.join(" or ")));
    }
    if !requirement.scopes.is_empty() {
        text.push_str(&format!(", scopes {}", requirement.scopes_text));
    }
    if !requirement.any_role.is_empty() {
        text.push_str(&format!(", role {}", requirement.any_role.join(" or ")));
    }
    for rule in &requirement.claims {
        let accepted: Vec<_> = rule.accepted.iter().map(ToString::to_string).collect();
        text.push_str(&format!(", claim {} = {}", rule.path, accepted.join(" or ")));
    }
    let staleness = u64::try_from(settings.revocation.max_staleness.as_millis());
    text.push_str(&in_words(*when_stale, staleness.unwrap_or(u64::MAX)));
    text
}

/// What a route does while the revocation list is too old, unless it denies.
fn in_words(when_stale: WhenStale, staleness_ms: u64) -> String {
    let WhenStale { safe_age_max_ms, unsafe_age_max_ms } = when_stale;
    match (safe_age_max_ms, unsafe_age_max_ms) {
        (u64::MAX, u64::MAX) => ", passes when revocations are stale".to_owned(),
        (u64::MAX, _) => ", reads pass when revocations are stale".to_owned(),
        (age, _) if age > staleness_ms => {
            let beyond = Duration::from_millis(age - staleness_ms);
            format!(", passes for {beyond:?} when revocations are stale")
        }
        (_, _) => String::new(),
    }
}

fn or_any(text: &str) -> String {
    if text.is_empty() { "any".to_owned() } else { text.to_owned() }
}
