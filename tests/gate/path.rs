//! Request targets: one path for the policy and for the upstream.

mod forms;

use super::framing::GuardedUpstream;
use crate::harness::client::{self, get};
use crate::harness::tokens;
use crate::harness::upstream::Upstream;

const TARGET: &str = "request_target";

/// Everything is public, but for one tree.
fn open_but_for_admin(upstream: &Upstream) -> String {
    routes(
        upstream,
        "
  - { name: open, match: { path: '/{*rest}' }, upstream: behind, public: true }
  - { name: admin, match: { path: '/admin/{*rest}' }, upstream: behind, authenticate: [bearer] }
",
    )
}

fn routes(upstream: &Upstream, routes: &str) -> String {
    format!(
        "
listeners: [{{ address: '127.0.0.1:0' }}]
admin: {{ address: '127.0.0.1:0' }}
server: {{ threads: 2 }}
issuers:
  - name: test
    issuer: {issuer}
    audiences: [{audience}]
    algorithms: [ES256]
    keys: {{ public_key_file: issuer.pem }}
upstreams: {{ behind: {{ peers: ['{address}'] }} }}
routes:{routes}",
        issuer = tokens::ISSUER,
        audience = tokens::AUDIENCE,
        address = upstream.address(),
    )
}

fn line(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
}

#[test]
fn control_characters_and_other_scripts_are_refused() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    // Space and line feed end the target; tests of heads look after them.
    for byte in (0..=0xff_u8).filter(|byte| !byte.is_ascii_graphic() && !b" \n".contains(byte)) {
        for part in ["/x", "/x?y="] {
            let mut bytes = format!("GET {part}").into_bytes();
            bytes.push(byte);
            bytes.extend_from_slice(b"z HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
            guarded.cuts_off(bytes, 400, TARGET);
        }
    }
}

#[test]
fn fragments_are_refused() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    for target in ["/x#y", "/x#", "/#", "/x?y#z", "/x?y#", "/x/#/../admin/y"] {
        guarded.denies(line("GET", target), 400, TARGET);
    }
}

#[test]
fn backslashes_in_paths_are_refused() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    for target in ["/x\\y", "/\\admin/x", "/x\\?y", "/x\\..\\admin/y", "\\x", "/\\other.test/x"] {
        guarded.denies(line("GET", target), 400, TARGET);
    }
}

#[test]
fn every_visible_character_is_forwarded_as_it_is_or_refused_with_a_slug() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    let mut lost = Vec::new();
    for byte in 0x21..0x7f_u8 {
        for target in [format!("/x{}y", byte as char), format!("/x?y={}z", byte as char)] {
            let reached = guarded.upstream.received().len();
            let answer = guarded.connect().exchange(line("GET", &target));
            let arrived = guarded.upstream.received()[reached..].to_vec();
            // As browsers do, in queries; in paths they are refused.
            let escaped = target.replace('"', "%22").replace('<', "%3C").replace('>', "%3E");
            let verdict = match (answer.status, &arrived[..]) {
                (200, [one]) => one.line() == format!("GET {escaped} HTTP/1.1"),
                (400, []) => answer.body.contains(TARGET),
                _ => false,
            };
            if !verdict {
                lost.push((target, answer.status, answer.body));
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn ambiguous_paths_are_refused_and_never_reach_the_upstream() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    for path in [
        // What a slash is.
        "/x%2fy",
        "/x%2Fy",
        "/%2f",
        "/%2fadmin/x",
        "/admin%2fx",
        "/x/%2f/y",
        "/x%2f",
        "/x%5cy",
        "/x%5Cy",
        "/%5cadmin/x",
        "/x%5c..%5cy",
        // What ends a path.
        "/x%00",
        "/x%00.png",
        "/%00/admin/x",
        "/x%0a",
        "/x%0d%0aX:%20y",
        "/x%09",
        "/x%7f",
        "/x%01y",
        "/x%1fy",
        // What a parameter is.
        "/x;y",
        "/x;y=z/w",
        "/;",
        "/;/admin/x",
        "/admin;x/y",
        "/x%3by",
        "/x%3By",
        "/admin/..;/x",
        // What an empty segment is.
        "//",
        "//x",
        "//admin/x",
        "/x//y",
        "/x//",
        "/admin//x",
        "///",
        // Dot segments.
        "/.",
        "/..",
        "/./x",
        "/../x",
        "/x/.",
        "/x/..",
        "/x/./y",
        "/x/../admin/y",
        "/%2e",
        "/%2E/x",
        "/%2e%2e/x",
        "/%2E%2e/x",
        "/.%2e/x",
        "/%2e./x",
        "/x/%2e%2e/admin/y",
        "/x/%2e%2e%2fadmin/y",
        "/x/..%2fadmin/y",
        "/x%2f..%2fadmin/y",
        "/x/..%5cadmin/y",
        "/..;/admin/x",
        "/x/..;/admin/y",
        "/x/..;a=b/admin/y",
        "/x/.;/admin/y",
        "/x/%2e%2e;/y",
        "/x/..%3b/admin/y",
        "/x/..%00/admin/y",
        "/x/.%00./admin/y",
        "/x/..%09/y",
        // What comes out of two decodings.
        "/x%252fy",
        "/x%255cy",
        "/%252e%252e/x",
        "/%2561dmin/x",
        "/x%25",
        "/x%2500",
        "/x%25252fy",
        "/%25%36%31dmin/x",
        "/%%36%31dmin/x",
        // Escapes that are none.
        "/x%",
        "/x%2",
        "/x%zz",
        "/x%2g",
        "/x%g2",
        "/x%u002f",
        "/x%u0061",
        "/%x",
        "/x%-1",
        "/x%+2f",
    ] {
        guarded.denies(line("GET", path), 400, TARGET);
    }
    assert!(guarded.upstream.received().is_empty());
}

#[test]
fn overlong_encodings_of_dot_and_slash_are_refused() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    for path in [
        "/x%c0%afadmin/y",
        "/x/%c0%ae%c0%ae/admin/y",
        "/x/%C0%AE./y",
        "/x%e0%80%afy",
        "/x/%e0%80%ae%e0%80%ae/y",
        "/x%f0%80%80%afy",
        "/x%c1%9cy",
    ] {
        guarded.denies(line("GET", path), 400, TARGET);
    }
}

#[test]
fn another_spelling_of_a_protected_path_is_refused() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    for path in ["/%61dmin/x", "/%61%64%6d%69%6e/x", "/admi%6e/x", "/admi%6E/x", "/%61dmin/"] {
        guarded.denies(line("GET", path), 400, TARGET);
    }
    guarded.denies(line("GET", "/admin/x"), 401, "credential_absent");
    guarded.denies(line("GET", "/admin/%78"), 401, "credential_absent");
}

#[test]
fn harmless_escapes_and_any_query_are_forwarded_byte_for_byte() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    for target in [
        "/x%20y",
        "/caf%C3%A9",
        "/caf%c3%a9",
        "/x%3fy",
        "/x%23y",
        "/%78",
        "/x.y/...",
        "/x/..y",
        "/x?a=%2f%5c%00;//../..",
        "/x?",
        "/x??",
        "/x?y=%",
        "/x:@!$&'()*+,=-._~",
        "/{x}|^",
    ] {
        guarded.forwards(line("GET", target));
        assert_eq!(guarded.upstream.last().line(), format!("GET {target} HTTP/1.1"));
    }
}

#[test]
fn dangerous_path_lets_exactly_the_named_ambiguity_pass_byte_for_byte() {
    let names = ["encoded_slash", "semicolon", "encoded_percent", "empty_segment"];
    let guarded = GuardedUpstream::build_with(|upstream| {
        let rows: String = names
            .iter()
            .map(|name| {
                format!(
                    "\n  - {{ name: {name}, match: {{ path: '/{name}/{{*rest}}', dangerous_path: [{name}] }}, upstream: behind, public: true }}"
                )
            })
            .collect();
        routes(upstream, &(rows + "\n"))
    });
    let spellings =
        [["x%2fy", "x%2Fy/z%2f"], ["x;y", "x%3by;z=1/w"], ["x%25y", "x%252fy"], ["/x", "x//y//"]];
    for route in names {
        for (ambiguity, spellings) in names.iter().zip(&spellings) {
            for spelling in spellings {
                let target = format!("/{route}/{spelling}?a=b");
                if *ambiguity == route {
                    guarded.forwards(line("GET", &target));
                    assert_eq!(guarded.upstream.last().line(), format!("GET {target} HTTP/1.1"));
                } else {
                    guarded.denies(line("GET", &target), 400, TARGET);
                }
            }
        }
    }
    // What no route can opt into.
    for path in [
        "/encoded_slash/x%2f..%2fy",
        "/encoded_slash/..%2fx",
        "/encoded_slash/x%5cy",
        "/semicolon/..;/x",
        "/semicolon/..%3b/x",
        "/semicolon/x;\\y",
        "/empty_segment//../x",
        "/empty_segment//%2e/x",
        "/encoded_percent/%2e%2e/x",
        "/encoded_percent/x%00",
        "/encoded_percent/x%25%0a",
    ] {
        guarded.denies(line("GET", path), 400, TARGET);
    }
    assert_eq!(
        guarded.gateway.metric("portcullis_dangerous_options{option=\"dangerous_path\"}"),
        4.0
    );
}

#[test]
fn refused_target_leaves_the_connection_open() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    let (mut connection, _) = guarded.denies(line("GET", "/x/../y"), 400, TARGET);
    let answer = connection.exchange(get("/x", &[]));
    assert_eq!((answer.status, answer.body.as_str()), (200, "GET /x HTTP/1.1"));
}

#[test]
fn target_is_accepted_at_its_limit_and_refused_beyond() {
    let guarded = GuardedUpstream::build_with(open_but_for_admin);
    let target = |bytes: usize| format!("/{}", "x".repeat(bytes - 1));
    guarded.forwards(client::get(&target(16 * 1024), &[]));
    guarded.denies(client::get(&target(16 * 1024 + 1), &[]), 400, TARGET);
}
