//! Links lead to files and headings that are there, and lines have a length that people can read.

use std::collections::BTreeSet;

use super::pages::{Page, pages, root};

/// The longest line of prose, in characters.
const LINE_MAX: usize = 100;

/// Where the links of a page lead: `[text](target)`.
fn targets(page: &Page) -> Vec<String> {
    let mut targets = Vec::new();
    for line in page.prose() {
        for rest in line.split("](").skip(1) {
            targets.extend(rest.split(')').next().map(str::to_owned));
        }
    }
    targets
}

/// The anchors of a page, as GitHub makes them of its headings.
fn anchors(page: &Page) -> BTreeSet<String> {
    let headings = page.prose().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
        text.chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn links_lead_to_what_is_there() {
    let pages = pages();
    let mut broken = Vec::new();
    let mut found = 0;
    for page in &pages {
        for target in targets(page).iter().filter(|target| !target.contains("://")) {
            found += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let directory = page.path.parent().unwrap_or(&page.path);
            let path = if file.is_empty() { page.path.clone() } else { directory.join(file) };
            let is_there = root().join(&path).canonicalize();
            let led = is_there.as_ref().ok().and_then(|there| {
                pages.iter().find(|page| {
                    root().join(&page.path).canonicalize().ok().as_ref() == Some(there)
                })
            });
            let has_anchor =
                anchor.is_empty() || led.is_some_and(|page| anchors(page).contains(anchor));
            if is_there.is_err() || !has_anchor {
                broken.push(format!("{}: {target}", page.path.display()));
            }
        }
    }
    assert!(found > 100, "the links were found: {found}");
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
}

/// Tables cannot be broken, and generated pages take their sentences whole from the code.
/// ARCHITECTURE.md may use more, as it is bounded in lines.
#[test]
fn lines_of_prose_can_be_read() {
    let is_bound = |page: &&Page| {
        let is_generated = page.text.contains("<!-- Generated from the code");
        !is_generated && !page.path.ends_with("ARCHITECTURE.md")
    };
    let mut long = Vec::new();
    for page in pages().iter().filter(is_bound) {
        let lines = page.prose().filter(|line| !line.starts_with('|'));
        let too_long = lines.filter(|line| line.chars().count() > LINE_MAX);
        long.extend(too_long.map(|line| format!("{}: {line}", page.path.display())));
    }
    assert!(long.is_empty(), "lines of more than {LINE_MAX} characters: {long:#?}");
}
