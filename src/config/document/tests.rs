use super::environment::substitute;
use super::*;
use crate::config::raw;

fn read(text: &str) -> Vec<(Option<usize>, String, String)> {
    let environment = |name: &str| (name == "SET").then(|| "value".to_owned());
    let (mut document, mut problems) =
        Document::parse(Path::new("g.yaml"), text.to_owned(), &environment).expect("YAML");
    problems.extend(document.read::<raw::Gateway>().1);
    problems
        .into_iter()
        .map(|problem| (problem.line, problem.field.to_string(), problem.fact))
        .collect()
}

#[test]
fn every_structural_mistake_is_found_with_its_line() {
    let found = read(
        "listeners:\n  - address: 5\n    colour: red\nrotes: []\nroutes:\n  - oops\n  - name: a\n    \
         match: {path: /a, hosts: 7}\n    upstream: [x]\nadmin: nothing\n",
    );
    let expected = [
        (Some(2), "listeners[0].address"),
        (Some(3), "listeners[0].colour"),
        (Some(4), "rotes"),
        (Some(6), "routes[0]"),
        (Some(8), "routes[1].match.hosts"),
        (Some(9), "routes[1].upstream"),
        (Some(10), "admin"),
    ];
    let mut places: Vec<_> = found.iter().map(|(line, field, _)| (*line, field.as_str())).collect();
    places.sort_unstable();
    assert_eq!(places, expected, "{found:#?}");
}

#[test]
fn environment_is_filled_in_and_missing_names_are_errors() {
    let environment = |name: &str| (name == "SET").then(|| "value".to_owned());
    assert_eq!(substitute("a", &environment), Ok(None));
    assert_eq!(substitute("a${SET}b${SET}", &environment), Ok(Some("avaluebvalue".into())));
    assert_eq!(substitute("$${SET}", &environment), Ok(Some("${SET}".into())));
    assert_eq!(substitute("${UNSET}", &environment), Err("UNSET".into()));
    assert_eq!(substitute("${SET", &environment), Ok(Some("${SET".into())));
    let found = read("realm: x\nadmin:\n  token: ${UNSET}\n");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0, found[0].1.as_str()), (Some(3), "admin.token"));
}

#[test]
fn syntax_errors_name_their_line() {
    let error =
        Document::parse(Path::new("g.yaml"), "a: [\nb: }".into(), &|_| None).expect_err("not YAML");
    assert_eq!(error.line, Some(2), "{error:?}");
}

#[test]
fn an_empty_document_reads_as_an_empty_configuration() {
    assert!(read("").is_empty());
    assert!(read("# nothing\n").is_empty());
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "[-a-z:{}\\[\\]\n \"'&*$!|>#0-9]{0,80}") {
        if let Ok((mut document, _)) = Document::parse(Path::new("g"), text, &|_| None) {
            let _ = document.read::<raw::Gateway>();
        }
    }
}
