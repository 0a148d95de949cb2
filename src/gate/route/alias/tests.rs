use proptest::prelude::*;

use super::*;
use crate::gate::credential::Carrier;
use crate::gate::denial::Slug;
use crate::gate::path::Ambiguity;
use crate::gate::policy::ForwardCredential;
use crate::gate::policy::{Authenticate, Requirement, WhenStale};

/// A route of a table, in short.
#[derive(Clone, Debug)]
struct Row {
    hosts: Vec<&'static str>,
    path: String,
    methods: Vec<Method>,
    /// What a principal must have; `None` for a public route.
    scopes: Option<Vec<&'static str>>,
    dangerous_path: Ambiguities,
}

fn row(path: &str, scopes: Option<&[&'static str]>) -> Row {
    Row {
        hosts: Vec::new(),
        path: path.to_owned(),
        methods: Vec::new(),
        scopes: scopes.map(<[_]>::to_vec),
        dangerous_path: Ambiguities::default(),
    }
}

fn policy(scopes: Option<&[&'static str]>) -> Policy {
    let Some(scopes) = scopes else { return Policy::Public };
    Policy::Authenticate(Authenticate {
        carriers: vec![Carrier::Bearer],
        issuers: Vec::new(),
        requirement: Requirement {
            scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
            ..Requirement::default()
        },
        when_stale: WhenStale { safe_age_max_ms: 0, unsafe_age_max_ms: 0 },
    })
}

fn matches(rows: &[Row]) -> Vec<RouteMatch> {
    let matching = |row: &Row| RouteMatch {
        hosts: row.hosts.iter().map(|host| HostPattern::Exact((*host).to_owned())).collect(),
        path: row.path.clone(),
        methods: row.methods.clone(),
    };
    rows.iter().map(matching).collect()
}

/// The table; the route at position `n` is named `n`. `None` if routes claim the same requests.
fn table(rows: &[Row]) -> Option<RouteTable> {
    let routes = rows.iter().enumerate().map(|(index, row)| Route {
        name: index.to_string().into(),
        index,
        upstream: 0,
        policy: policy(row.scopes.as_deref()),
        credential: ForwardCredential::Strip,
        internal_token: None,
        body_bytes_max: None,
        dangerous_path: row.dangerous_path,
    });
    RouteTable::compile(matches(rows).into_iter().zip(routes)).ok()
}

fn found(table: &RouteTable, host: &str, target: &str, method: &Method) -> Result<usize, Slug> {
    let path = CanonicalPath::parse(target).expect("a target");
    table.find(host, &path, method).map(|route| route.index).map_err(|denial| denial.slug())
}

fn set(one: Ambiguity) -> Ambiguities {
    Ambiguities::default().with(one)
}

#[test]
fn alias_of_a_stricter_route_is_refused_and_names_it() {
    let table = table(&[row("/{*rest}", None), row("/admin", Some(&["a"]))]).expect("a table");
    let path = CanonicalPath::parse("/Admin/").expect("a target");
    let denial = table.find("", &path, &Method::GET).expect_err("refused");
    assert_eq!(denial.slug(), Slug::RequestTarget);
    assert_eq!(
        denial.reason(),
        "`/Admin/` is a path of route `1` to upstreams that ignore case and a slash at the end"
    );
}

#[test]
fn alias_of_a_laxer_route_is_served_by_the_stricter() {
    let table = table(&[
        row("/{*rest}", Some(&["a"])),
        row("/login", None),
        row("/b", Some(&["b", "a"])),
        row("/{x}/B", Some(&["a"])),
    ])
    .expect("a table");
    let get = |target| found(&table, "", target, &Method::GET);
    assert_eq!(get("/login"), Ok(1));
    assert_eq!(get("/LOGIN/"), Ok(0));
    assert_eq!(get("/B"), Err(Slug::RequestTarget));
    assert_eq!(get("/x/b"), Ok(0), "it asks for the same");
}

#[test]
fn pattern_is_folded_as_paths_are() {
    for (pattern, path) in
        [("/Admin", "/admin"), ("/admin/", "/admin"), ("/admin.", "/admin"), ("/admin", "/admin.")]
    {
        let table = table(&[row("/{*rest}", None), row(pattern, Some(&[]))]).expect("a table");
        assert_eq!(found(&table, "", pattern, &Method::GET), Ok(1), "{pattern}");
        assert_eq!(found(&table, "", path, &Method::GET), Err(Slug::RequestTarget), "{pattern}");
    }
}

#[test]
fn routes_that_differ_in_nothing_else_are_served_by_the_stricter_only() {
    let rows = [row("/a", None), row("/a/", Some(&["a"])), row("/A", Some(&["a", "b"]))];
    let table = table(&rows).expect("a table");
    assert_eq!(found(&table, "", "/a", &Method::GET), Err(Slug::RequestTarget));
    assert_eq!(found(&table, "", "/a/", &Method::GET), Err(Slug::RequestTarget));
    assert_eq!(found(&table, "", "/A", &Method::GET), Ok(2));
    assert_eq!(found(&table, "", "/A/", &Method::GET), Err(Slug::RouteUnknown));
}

#[test]
fn root_that_a_route_names_is_not_of_the_tree() {
    let rows = [row("/docs", None), row("/docs/{*rest}", Some(&[])), row("/{*rest}", None)];
    let table = table(&rows).expect("a table");
    let get = |target| found(&table, "", target, &Method::GET);
    assert_eq!((get("/docs"), get("/docs/"), get("/docs/a")), (Ok(0), Ok(1), Ok(1)));
    assert_eq!((get("/Docs"), get("/Docs/a")), (Ok(2), Err(Slug::RequestTarget)));
}

#[test]
fn method_that_the_path_does_not_take_is_refused_under_its_aliases() {
    let open = row("/{*rest}", None);
    let post = Row { methods: vec![Method::POST], ..row("/a", Some(&[])) };
    let get = Row { methods: vec![Method::GET], ..row("/b", None) };
    let table = table(&[open, post, get]).expect("a table");
    for (target, method) in
        [("/A", Method::POST), ("/A", Method::GET), ("/B", Method::POST), ("/b/", Method::PUT)]
    {
        assert_eq!(found(&table, "", target, &method), Err(Slug::RequestTarget), "{target}");
    }
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(found(&table, "", "/B", &method), Ok(0));
    }
}

#[test]
fn stricter_route_of_a_host_is_found_before_those_of_any() {
    let strict = Row { hosts: vec!["a.test"], ..row("/admin", Some(&[])) };
    let table = table(&[row("/{*rest}", None), strict]).expect("a table");
    assert_eq!(found(&table, "a.test", "/Admin", &Method::GET), Err(Slug::RequestTarget));
    assert_eq!(found(&table, "b.test", "/Admin", &Method::GET), Ok(0));
}

#[test]
fn route_serves_what_its_upstream_tells_apart_and_nothing_else() {
    for (one, alias) in [
        (Ambiguity::Case, "/Admin"),
        (Ambiguity::TrailingSlash, "/admin/"),
        (Ambiguity::TrailingDot, "/admin."),
    ] {
        let open = Row { dangerous_path: set(one), ..row("/{*rest}", None) };
        let table = table(&[open, row("/admin", Some(&[]))]).expect("a table");
        for target in ["/Admin", "/admin/", "/admin.", "/Admin./"] {
            let expected = if target == alias { Ok(0) } else { Err(Slug::RequestTarget) };
            let expected = if target == "/Admin./" { Ok(0) } else { expected };
            assert_eq!(found(&table, "", target, &Method::GET), expected, "{one} {target}");
        }
    }
}

#[test]
fn aliases_are_listed_for_each_two_routes() {
    let rows = [
        row("/{*rest}", None),
        row("/admin", Some(&["a"])),
        row("/tree/{*rest}", Some(&["a"])),
        row("/{id}/Item/", Some(&["a"])),
        row("/open", None),
    ];
    let table = table(&rows).expect("a table");
    let aliases = table.aliases(&matches(&rows));
    let told: Vec<_> = aliases.iter().map(|alias| (alias.of, &*alias.spelling)).collect();
    assert_eq!(
        told,
        [
            (1, "/Admin"),
            (1, "/admin."),
            (1, "/admin/"),
            (2, "/Tree/{*rest}"),
            (2, "/tree./{*rest}"),
            (3, "/{id}/item/"),
            (3, "/{id}/Item./"),
            (3, "/{id}/Item"),
        ]
    );
    assert!(aliases.iter().all(|alias| alias.served_by == 0));
}

#[test]
fn table_without_a_laxer_route_has_no_aliases() {
    let rows = [row("/{*rest}", Some(&["a"])), row("/admin", Some(&["a"])), row("/x", None)];
    assert_eq!(table(&rows).expect("a table").aliases(&matches(&rows)), []);
}

// ---- an upstream as a model

/// How an upstream that ignores `by` reads a path. Written independently of [`fold`].
fn read(path: &str, by: Ambiguities) -> String {
    let mut segments: Vec<String> = path[1..].split('/').map(str::to_owned).collect();
    if by.contains(Ambiguity::TrailingDot) {
        for segment in &mut segments {
            while segment.ends_with(['.', ' ']) {
                segment.pop();
            }
        }
    }
    if by.contains(Ambiguity::TrailingSlash) {
        while segments.len() > 1 && segments.last().is_some_and(String::is_empty) {
            segments.pop();
        }
    }
    let path = format!("/{}", segments.join("/"));
    if by.contains(Ambiguity::Case) { path.to_lowercase() } else { path }
}

/// How precisely a pattern matches a path, if it does: 0 for a literal, 1 for a parameter, 2 for
/// the rest.
fn meets(pattern: &str, path: &str) -> Option<Vec<u8>> {
    let precision = pattern[1..].split('/').map(|segment| match segment {
        rest if rest.starts_with("{*") => 2,
        parameter if parameter.starts_with('{') => 1,
        _ => 0,
    });
    let precision: Vec<u8> = precision.collect();
    if let Some(root) = pattern.strip_suffix("/{*r}") {
        let is_root = match root {
            "" => path == "/",
            root => {
                [root.to_owned(), format!("{root}/")].iter().any(|root| meets(root, path).is_some())
            }
        };
        if is_root {
            return Some(precision);
        }
    }
    let mut segments = path[1..].split('/');
    for segment in pattern[1..].split('/') {
        if segment.starts_with("{*") {
            return (!segments.collect::<Vec<_>>().join("/").is_empty()).then_some(precision);
        }
        let met = segments.next()?;
        let is_met = if segment.starts_with('{') { !met.is_empty() } else { segment == met };
        if !is_met {
            return None;
        }
    }
    segments.next().is_none().then_some(precision)
}

/// What an upstream that ignores `by` serves for a path: the routes of the pattern that it matches.
/// Empty if there is none.
fn served<'r>(rows: &'r [Row], host: &str, path: &str, by: Ambiguities) -> Vec<&'r Row> {
    let path = read(path, by);
    let of_host = |row: &&Row| row.hosts.contains(&host);
    let of_any = |row: &&Row| row.hosts.is_empty();
    let best = |rows: Vec<&'r Row>| {
        let met = rows.into_iter().filter_map(|row| {
            let pattern = read(&row.path, by);
            meets(&pattern, &path).map(|precision| (precision, pattern, row))
        });
        let mut met: Vec<_> = met.collect();
        met.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let first = met.first().map(|(_, pattern, _)| pattern.clone());
        met.retain(|(_, pattern, _)| Some(pattern) == first.as_ref());
        met.into_iter().map(|(.., row)| row).collect::<Vec<_>>()
    };
    let own = best(rows.iter().filter(of_host).collect());
    if own.is_empty() { best(rows.iter().filter(of_any).collect()) } else { own }
}

/// Those that accept a method. Of two with the same path, the one that names the method precedes.
fn taken<'r>(served: &[&'r Row], method: &Method) -> Vec<&'r Row> {
    let names = |row: &Row| row.methods.contains(method);
    let is_named = |path: &str| served.iter().any(|row| row.path == path && names(row));
    let takes = |row: &&&'r Row| match row.methods.is_empty() {
        true => !is_named(&row.path),
        false => names(row),
    };
    served.iter().filter(takes).copied().collect()
}

/// Whether some upstream answers a request that `row` permits with something that another route
/// protects more strictly.
fn leaks(rows: &[Row], row: &Row, host: &str, path: &CanonicalPath<'_>, method: &Method) -> bool {
    let own = policy(row.scopes.as_deref());
    let is_leak = |text: &str, by| {
        let served = served(rows, host, text, by);
        let taken = taken(&served, method);
        taken.iter().any(|row| !own.implies(&policy(row.scopes.as_deref())))
            || (taken.is_empty() && !served.is_empty())
    };
    let texts = [Some(path.as_str()), path.decoded()];
    Ambiguities::FOLDINGS
        .without(row.dangerous_path)
        .subsets()
        .any(|by| texts.into_iter().flatten().any(|text| is_leak(text, by)))
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let segment = prop::sample::select(vec!["a", "A", "b", "aB", "a.", "{p}"]);
    let end = prop::sample::select(vec!["", "", "/", "/{*r}"]);
    let path = (prop::collection::vec(segment, 1..3), end)
        .prop_map(|(segments, end)| format!("/{}{end}", segments.join("/")));
    let path = prop_oneof![1 => Just("/{*r}".to_owned()), 1 => Just("/".to_owned()), 6 => path];
    let scopes = prop::sample::select(vec![
        None,
        None,
        Some(vec![]),
        Some(vec!["x"]),
        Some(vec!["y"]),
        Some(vec!["x", "y"]),
    ]);
    let hosts = prop::sample::select(vec![vec![], vec![], vec!["h"]]);
    let methods = prop::sample::select(vec![vec![], vec![], vec![Method::POST]]);
    let foldings: Vec<_> = Ambiguities::FOLDINGS.subsets().collect();
    let dangerous =
        prop_oneof![3 => Just(Ambiguities::default()), 1 => prop::sample::select(foldings)];
    let row = (path, scopes, hosts, methods, dangerous).prop_map(
        |(path, scopes, hosts, methods, dangerous_path)| Row {
            hosts,
            path,
            methods,
            scopes,
            dangerous_path,
        },
    );
    prop::collection::vec(row, 1..7)
}

fn target() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec![
        "a", "A", "b", "B", "ab", "aB", "a.", "A.", "a%20", "%61", "A%2e.", "x", "X.", "%42",
    ]);
    (prop::collection::vec(segment, 0..4), prop::sample::select(vec!["", "/"]))
        .prop_map(|(segments, end)| format!("/{}{end}", segments.join("/")).replace("//", "/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// What a route permits is, to no upstream of the model, a path of a stricter route. What is
    /// refused as an alias is one.
    #[test]
    fn permitted_request_is_never_a_path_of_a_stricter_route(
        rows in rows(),
        targets in prop::collection::vec(target(), 8),
        host in prop::sample::select(vec!["h", "other"]),
        method in prop::sample::select(vec![Method::GET, Method::POST]),
    ) {
        // `HEAD` for `GET` has nothing to do with paths, and the model does not cover it.
        let Some(table) = table(&rows) else { return Ok(()) };
        for target in targets {
            let path = CanonicalPath::parse(&target).expect("a target");
            match table.find(host, &path, &method) {
                Ok(route) => {
                    let row = &rows[route.index];
                    prop_assert!(!leaks(&rows, row, host, &path, &method), "{target}: {row:?}");
                }
                Err(denial) if denial.reason().contains("is a path of route") => {
                    let sent = served(&rows, host, path.as_str(), Ambiguities::default());
                    let row = taken(&sent, &method)[0];
                    prop_assert!(leaks(&rows, row, host, &path, &method), "{target}: {row:?}");
                }
                Err(_) => {}
            }
        }
    }
}
