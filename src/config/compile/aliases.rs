//! Warns of paths that a route matches but that are refused, because some upstreams would read them
//! as paths of a stricter route.

use super::compiler::Compiler;
use crate::config::problem::FieldPath;
use crate::gate::path::{Ambiguities, Ambiguity};
use crate::gate::policy::Policy;
use crate::gate::route::alias::Alias;
use crate::gate::route::{RouteMatch, RouteTable};

impl Compiler<'_> {
    /// Adds one warning for each route that would serve such paths.
    pub(super) fn warn_of_aliases(
        &mut self,
        table: &RouteTable,
        matches: &[RouteMatch],
        routes: &FieldPath,
    ) {
        let aliases = table.aliases(matches);
        for route in table.routes() {
            let of_route = aliases.iter().filter(|alias| alias.served_by == route.index);
            let of_route: Vec<&Alias> = of_route.collect();
            let Some(first) = of_route.first().map(|alias| alias.of) else { continue };
            let by = of_route
                .iter()
                .map(|alias| alias.by)
                .fold(Ambiguities::default(), |all, by| all.union(by));
            let spellings: Vec<_> = of_route
                .iter()
                .filter(|alias| alias.of == first)
                .map(|alias| format!("`{}`", alias.spelling))
                .collect();
            let mut others: Vec<_> = of_route.iter().map(|alias| alias.of).collect();
            others.sort_unstable();
            others.dedup();
            let others = match others.len() - 1 {
                0 => String::new(),
                1 => ", and so on for 1 more route".to_owned(),
                more => format!(", and so on for {more} more routes"),
            };
            let policy = match route.policy {
                Policy::Public => "is public",
                Policy::Authenticate(_) => "asks for less",
            };
            let stricter = &table.routes()[first].name;
            let path = &matches[first].path;
            let fact = format!(
                "{} {} refused: to upstreams that {} {} `{path}`, which is route `{stricter}`, \
                 and this route {policy}{others}",
                listed(&spellings),
                if spellings.len() == 1 { "is" } else { "are" },
                by.in_words(),
                if spellings.len() == 1 { "it is" } else { "they are" },
            );
            let names: Vec<_> = by.iter().map(Ambiguity::name).collect();
            let remedy = format!(
                "If its upstream tells them apart, write `dangerous_path: [{}]` here",
                names.join(", ")
            );
            let field = routes.index(route.index).key("match").key("path");
            self.warn(&field, &fact, &remedy);
        }
    }
}

fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}
