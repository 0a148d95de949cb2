use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::Settings;

fn template(start: StartingPoint) -> Template {
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Template { listen: address(8080), admin: address(9901), upstream: "a:1".to_owned(), start }
}

fn compile(text: String) -> Settings {
    let compiled = Settings::compile(Path::new("gateway.yaml"), text.clone(), &|_| None);
    let settings = compiled.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    assert!(settings.warnings.list.is_empty(), "{}\n{text}", settings.warnings);
    settings
}

fn provider(issuer: &str, audiences: &[&str]) -> StartingPoint {
    StartingPoint::Jwt(Provider {
        issuer: issuer.to_owned(),
        audiences: audiences.iter().map(ToString::to_string).collect(),
        jwks_url: "https://login.example/keys?v=${1}&a=b".to_owned(),
    })
}

#[test]
fn what_stands_in_remarks_compiles_too() {
    for start in [provider("https://login.example", &["a"]), StartingPoint::ApiKey] {
        let text = template(start).render();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        for line in &mut lines {
            if ["    # require:", "  # - ", "  #   "].iter().any(|mark| line.starts_with(mark)) {
                *line = line.replacen("# ", "", 1);
            }
        }
        let settings = compile(lines.join("\n"));
        assert_eq!(settings.matches.len(), 2, "{settings:?}");
    }
}

#[test]
fn keywords_numbers_and_variables_stay_texts() {
    for text in ["yes", "null", "12", "1:30", "~", "a: b", "${HOME}", "$${x}", "#", "a:", "-", "{"]
    {
        let settings = compile(template(provider(text, &[text])).render());
        assert_eq!(&*settings.issuers[0].rules.issuer, text);
    }
}

proptest! {
    #[test]
    fn whatever_an_issuer_and_an_audience_are_called_is_read_back(issuer in "\\PC{1,40}", audience in "\\PC{1,40}") {
        let settings = compile(template(provider(&issuer, &[&audience, "b"])).render());
        let rules = &settings.issuers[0].rules;
        prop_assert_eq!(&*rules.issuer, &*issuer);
        prop_assert_eq!(&*rules.audiences[0], &*audience);
    }
}
