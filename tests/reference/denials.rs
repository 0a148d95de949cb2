//! Every slug, from the table of denials.

use expect_test::expect_file;
use portcullis::gate::denial::{Challenge, Outcome, Slug};

use super::{head, page, row};

const ABOUT: &str = "\
The gateway answers a denied request with `application/problem+json` (RFC 9457): `type`, `title`,
`status`, `slug`, `request_id` and, where it helps, `detail`, such as which claim was at fault. A
browser that navigates gets a small page, or is sent to log in.

The same slug is in the body, in the access log and in `portcullis_decisions_total`. The log's
`reason` says more than the client may know: the value that was found, and what was expected. The
connection stays open unless the framing is in doubt or a WebSocket is declined.

The challenge is the `WWW-Authenticate` field (RFC 6750 §3). Answers with status 503 and 429 carry
`Retry-After`. `denied` means that the answer is no; `unavailable` means that the gateway could not
decide or serve, and that asking again may help. [Troubleshooting](../troubleshooting.md) says for
each slug how to see what happened and what to do.";

#[test]
fn denials_page_lists_every_slug() {
    let mut text = page("Denials", ABOUT);
    text += &head(["slug", "status", "outcome", "challenge", "when", "title"]);
    for slug in Slug::ALL {
        let challenge = match slug.challenge() {
            Challenge::None => String::new(),
            Challenge::Realm => "`realm`".to_owned(),
            Challenge::Error(error) => format!("`error=\"{error}\"`"),
        };
        let outcome = match slug.outcome() {
            Outcome::Permitted => panic!("{slug:?} permits"),
            denied @ (Outcome::Denied | Outcome::Unavailable) => denied.as_str(),
        };
        let link = format!("[`{0}`](../troubleshooting.md#{0})", slug.as_str());
        let status = slug.status().to_string();
        text += &row([&link, &status, outcome, &challenge, slug.meaning(), slug.title()]);
    }
    expect_file!["../../docs/reference/denials.md"].assert_eq(&text);
}

/// Each slug has a section of its own, which the table links to.
#[test]
fn troubleshooting_has_a_section_for_every_slug() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/troubleshooting.md");
    let text = std::fs::read_to_string(file).expect("docs/troubleshooting.md");
    let mut sections: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let mut slugs: Vec<_> = Slug::ALL.iter().map(|slug| format!("`{}`", slug.as_str())).collect();
    sections.sort_unstable();
    slugs.sort_unstable();
    assert_eq!(sections, slugs);
}
