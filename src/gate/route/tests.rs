use super::super::policy::{ForwardCredential, Policy};
use super::*;
use crate::gate::denial::Detail;

fn table(rows: &[(&str, &[&str], &str, &[&str])]) -> Result<RouteTable, Vec<AddError>> {
    let rows = rows.iter().enumerate().map(|(index, (name, hosts, path, methods))| {
        let hosts = hosts
            .iter()
            .map(|host| match host.strip_prefix("*.") {
                Some(parent) => HostPattern::Below(parent.into()),
                None => HostPattern::Exact((*host).into()),
            })
            .collect();
        let methods = methods.iter().map(|method| method.parse().expect("a method")).collect();
        let route = Route {
            internal_token: None,
            name: (*name).into(),
            index,
            upstream: 0,
            policy: Policy::Public,
            credential: ForwardCredential::Strip,
            body_bytes_max: None,
            dangerous_path: Ambiguities::default(),
        };
        (RouteMatch { hosts, path: (*path).into(), methods }, route)
    });
    RouteTable::compile(rows).map_err(|errors| errors.into_iter().map(|(_, error)| error).collect())
}

fn find(table: &RouteTable, host: &str, target: &str, method: Method) -> Result<String, Slug> {
    let path = CanonicalPath::parse(target).expect("a target");
    table
        .find(host, &path, &method)
        .map(|route| route.name.to_string())
        .map_err(|denial| denial.slug())
}

#[test]
fn most_specific_wins_whatever_the_order() {
    let table = table(&[
        ("rest", &[], "/{*rest}", &[]),
        ("item", &[], "/a/{id}", &[]),
        ("literal", &[], "/a/b", &[]),
        ("host", &["api.example"], "/{*rest}", &[]),
        ("below", &["*.example"], "/a/{id}", &[]),
    ])
    .expect("no conflict");
    let get = |host, target| find(&table, host, target, Method::GET).expect("a route");
    assert_eq!(get("x", "/a/b"), "literal");
    assert_eq!(get("x", "/a/c"), "item");
    assert_eq!(get("x", "/z/z/z"), "rest");
    assert_eq!(get("api.example", "/a/b"), "host", "the exact host goes first");
    assert_eq!(get("www.example", "/a/b"), "below");
    assert_eq!(get("deep.www.example", "/a/b"), "below");
    assert_eq!(get("example", "/a/b"), "literal", "a suffix is not the host itself");
    assert_eq!(get("www.example", "/z"), "rest", "what a host does not know is left to the next");
}

#[test]
fn rest_beside_segments_gives_way_where_they_are_more_precise_and_only_there() {
    let table = table(&[
        ("rest", &[], "/v/{*rest}", &[]),
        ("item", &[], "/v/{id}", &[]),
        ("deep", &[], "/{a}/x/{b}", &[]),
        ("any", &[], "/{*rest}", &[]),
    ])
    .expect("no conflict");
    let get = |target| find(&table, "h", target, Method::GET).expect("a route");
    assert_eq!(get("/v/7"), "item");
    assert_eq!(get("/v/7/items"), "rest");
    assert_eq!(get("/v/"), "rest");
    assert_eq!(get("/v/x/7"), "rest", "what comes first decides");
    assert_eq!(get("/w/x/7"), "deep");
    assert_eq!(get("/w/y/7"), "any");
    assert_eq!(get("/v"), "rest");
}

#[test]
fn tree_includes_its_root() {
    let table = table(&[
        ("tree", &[], "/a/{*rest}", &[]),
        ("deep", &[], "/p/{id}/a/{*rest}", &[]),
        ("all", &["x"], "/{*rest}", &[]),
        ("below", &["z"], "/a/{*rest}", &[]),
        ("root", &["z"], "/a/", &[]),
        ("rest", &["z"], "/{*rest}", &[]),
    ])
    .expect("no conflict");
    assert_eq!(find(&table, "y", "/p/7/a/", Method::GET).as_deref(), Ok("deep"));
    assert_eq!(find(&table, "z", "/a/", Method::GET).as_deref(), Ok("root"), "when it is named");
    assert_eq!(find(&table, "z", "/a/b", Method::GET).as_deref(), Ok("below"));
    assert_eq!(find(&table, "y", "/a/", Method::GET).as_deref(), Ok("tree"));
    assert_eq!(find(&table, "y", "/a", Method::GET).as_deref(), Ok("tree"));
    assert_eq!(find(&table, "z", "/a", Method::GET).as_deref(), Ok("below"));
    assert_eq!(find(&table, "y", "/ab", Method::GET), Err(Slug::RouteUnknown));
    assert_eq!(find(&table, "x", "/", Method::GET).as_deref(), Ok("all"));
}

#[test]
fn methods_are_told_apart_and_named() {
    let table = table(&[
        ("read", &[], "/a", &["GET"]),
        ("write", &[], "/a", &["POST", "PUT"]),
        ("any", &[], "/b", &[]),
    ])
    .expect("no conflict");
    assert_eq!(find(&table, "", "/a", Method::GET).as_deref(), Ok("read"));
    assert_eq!(find(&table, "", "/a", Method::HEAD).as_deref(), Ok("read"));
    assert_eq!(find(&table, "", "/a", Method::PUT).as_deref(), Ok("write"));
    assert_eq!(find(&table, "", "/b", Method::DELETE).as_deref(), Ok("any"));
    let path = CanonicalPath::parse("/a").expect("a target");
    let denial = table.find("", &path, &Method::DELETE).expect_err("not allowed");
    assert_eq!(denial.slug(), Slug::MethodNotAllowed);
    assert_eq!(*denial.detail(), Detail::Allow("GET, HEAD, POST, PUT".into()));
}

#[test]
fn ambiguous_routes_are_conflicts() {
    let conflict = |rows: &[(&str, &[&str], &str, &[&str])]| table(rows).expect_err("a conflict");
    let expected = vec![AddError::Conflict(Conflict { earlier: 0, later: 1 })];
    assert_eq!(conflict(&[("a", &[], "/x/{a}", &[]), ("b", &[], "/x/{b}", &[])]), expected);
    assert_eq!(
        conflict(&[("a", &[], "/x", &["GET"]), ("b", &[], "/x", &["PUT", "GET"])]),
        expected
    );
    assert_eq!(conflict(&[("a", &["h"], "/x", &[]), ("b", &["g", "h"], "/x", &[])]), expected);
    assert!(table(&[("a", &[], "/x", &["GET"]), ("b", &[], "/x", &[])]).is_ok());
}

#[test]
fn patterns_that_could_never_match_are_refused() {
    for path in [
        "", "a", "/a//b", "/../a", "/a/{}", "/a{b}", "/{*a}/b", "/a?b", "/a b", "/a%20", "/é",
        "/a;b", "/a#",
    ] {
        assert!(
            matches!(table(&[("a", &[], path, &[])]), Err(errors)
            if matches!(errors[..], [AddError::Pattern(_)])),
            "{path}"
        );
    }
}

#[test]
fn path_whose_decoding_would_lead_elsewhere_is_refused() {
    let table = table(&[
        ("rest", &[], "/{*rest}", &[]),
        ("admin", &[], "/admin", &[]),
        ("item", &[], "/items/{id}", &[]),
        ("action", &[], "/v1/a:run", &[]),
    ])
    .expect("no conflict");
    for target in ["/%61dmin", "/v1/a%3Arun", "/item%73/7"] {
        assert_eq!(find(&table, "", target, Method::GET), Err(Slug::RequestTarget), "{target}");
    }
    assert_eq!(find(&table, "", "/items/a%2Eb%3A%40", Method::GET).as_deref(), Ok("item"));
}

#[test]
fn ambiguities_need_the_routes_consent() {
    let mut table = table(&[("a", &[], "/a/{*rest}", &[]), ("b", &[], "/b/{*rest}", &[])])
        .expect("no conflict");
    table.routes[1].dangerous_path =
        Ambiguities::default().with(crate::gate::path::Ambiguity::EncodedSlash);
    assert_eq!(find(&table, "", "/a/x%2fy", Method::GET), Err(Slug::RequestTarget));
    assert_eq!(find(&table, "", "/b/x%2fy", Method::GET).as_deref(), Ok("b"));
    assert_eq!(find(&table, "", "/b/x%2fy;z", Method::GET), Err(Slug::RequestTarget));
    assert_eq!(find(&table, "", "/c;z", Method::GET), Err(Slug::RequestTarget));
}
