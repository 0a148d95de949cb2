//! What SECURITY.md says of tests is so, and names of tests are claims.

use std::collections::BTreeSet;

use portcullis::gate::denial::Slug;

use super::assert_none;
use super::names::defined;
use super::source::{code_of, files_below, holds, read, root, sources};

/// What cannot be provoked from outside is a defect, and tested as such or not at all.
#[test]
fn every_slug_is_tested() {
    let mut files = vec![root().join("tests/gate/denial.rs")];
    files_below(&root().join("tests/gate/denial"), &mut files);
    let tests: String = files.iter().map(|file| read(file)).collect();
    let missing = Slug::ALL.iter().map(|slug| slug.as_str());
    let missing = missing.filter(|slug| !tests.contains(&format!("\"{slug}\"")));
    assert_none(missing.map(str::to_owned), "tests/gate/denial/ does not provoke these");
}

// ---- tests

/// The tests of the integration binary.
fn tests() -> Vec<(String, String)> {
    let mut files = Vec::new();
    files_below(&root().join("tests"), &mut files);
    let named = files.iter().map(|path| {
        let name = path.strip_prefix(root()).expect("it is below").display().to_string();
        (name, code_of(&read(path)))
    });
    named.collect()
}

#[test]
fn names_of_tests_are_claims() {
    let mut wrong = Vec::new();
    let sources = sources().into_iter().map(|source| (source.path, code_of(&source.text)));
    for (path, code) in sources.chain(tests()) {
        let names = defined(&code, "fn").into_iter().filter(|name| name.starts_with("test_"));
        wrong.extend(names.map(|name| format!("{path}: {name}")));
    }
    assert_none(wrong, "a claim needs no prefix");
}

/// SECURITY.md says which test holds what it promises: a file or folder, or the name of a test.
#[test]
fn whatever_security_names_exists() {
    let text = read(&root().join("SECURITY.md"));
    let spans = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let named: BTreeSet<_> = spans.collect();
    let is_path = |name: &&&str| name.starts_with("tests/") || name.starts_with("src/");
    let missing = named.iter().filter(is_path).filter(|path| !root().join(path).exists());
    assert_none(missing.map(|path| (*path).to_owned()), "SECURITY.md names what is not there");
    // Names of fields, slugs and metrics are shorter, or begin with ours.
    let is_claim = |name: &&&str| {
        let is_word = name.chars().all(|one| one.is_ascii_lowercase() || "_*…".contains(one));
        is_word && name.matches('_').count() > 3 && !name.starts_with("portcullis_")
    };
    let claims: Vec<_> = named.iter().filter(is_claim).collect();
    assert!(claims.len() > 20, "the names of tests are found: {claims:?}");
    let unit = sources().into_iter().map(|source| code_of(&source.text));
    let codes: Vec<_> = unit.chain(tests().into_iter().map(|(_, code)| code)).collect();
    let is_there = |claim: &str| match claim.trim_end_matches(['*', '…']) {
        whole if whole == claim => codes.iter().any(|code| holds(code, whole)),
        beginning => codes.iter().any(|code| code.contains(beginning)),
    };
    let missing = claims.into_iter().filter(|claim| !is_there(claim));
    assert_none(
        missing.map(|claim| (*claim).to_owned()),
        "SECURITY.md names tests that are not there",
    );
}
