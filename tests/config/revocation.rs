//! How old the revocation list may grow, what happens then, how long it may be, and where changes
//! are written down.

use super::*;

const STALE_REMEDY: &str = "Write deny, allow, deny_writes or { allow_for: 30s }.";

fn revocation(fields: &str) -> String {
    with(&format!("revocation: {{ {fields} }}"))
}

fn route(fields: &str) -> String {
    with(&format!(
        "  - {{ name: a, match: {{ path: /a }}, upstream: behind, authenticate: [bearer], {fields} }}"
    ))
}

#[test]
fn list_may_grow_old_for_a_second_to_an_hour() {
    let place = |value: &str| revocation(&format!("max_staleness: {value}"));
    all_compile(["1s", "1000ms", "5s", "60m", "1h"].map(place));
    for (value, told) in [
        ("999ms", "the time is shorter than a second. Write 1s or more."),
        ("61m", "the time is longer than an hour. Write 1h or less."),
        (
            "0s",
            "`0s` is not a duration. Write a whole number and a unit: 250ms, 30s, 15m, 12h, 7d.",
        ),
        (
            "for ever",
            "`for ever` is not a duration. \
             Write a whole number and a unit: 250ms, 30s, 15m, 12h, 7d.",
        ),
        ("5", "found integer `5`. Write a string."),
    ] {
        let problem = format!("6: error: revocation.max_staleness: {told}");
        each_is_refused([(place(value), problem.as_str())]);
    }
}

#[test]
fn list_holds_from_one_entry_to_a_hundred_million() {
    let place = |value: &str| revocation(&format!("max_entries: {value}"));
    all_compile(["1", "100000000"].map(place));
    for value in ["0", "100000001"] {
        let problem = format!(
            "6: error: revocation.max_entries: {value} is out of range. \
             Write a number from 1 to 100000000."
        );
        each_is_refused([(place(value), problem.as_str())]);
    }
    for value in ["-1", "many", "1.5"] {
        let problems = problems(place(value));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with("6: error: revocation.max_entries: "), "{problems:#?}");
    }
}

#[test]
fn local_acceptance_is_yes_or_no() {
    let place = |value: &str| revocation(&format!("accept_local: {value}"));
    all_compile(["true", "false"].map(place));
    let told = "6: error: revocation.accept_local: found string \"maybe\". Write a boolean.";
    each_is_refused([(place("maybe"), told)]);
}

#[test]
fn staleness_has_its_answers_by_default_and_on_a_route() {
    let answers = ["deny", "allow", "deny_writes", "{ allow_for: 30s }", "{ allow_for: 1ms }"];
    for answer in answers {
        let field = format!("when_stale: {answer}");
        all_compile([revocation(&field), route(&field)]);
    }
    for (answer, field, told) in [
        ("allow_writes", "", format!("`allow_writes` is not known. {STALE_REMEDY}")),
        ("Deny", "", format!("`Deny` is not known. {STALE_REMEDY}")),
        ("''", "", format!("`` is not known. {STALE_REMEDY}")),
        ("30s", "", format!("`30s` is not known. {STALE_REMEDY}")),
        ("true", "", format!("the value is not one of the known answers. {STALE_REMEDY}")),
        ("[deny]", "", format!("the value is not one of the known answers. {STALE_REMEDY}")),
        ("{}", "", format!("the value is not one of the known answers. {STALE_REMEDY}")),
        (
            "{ deny_for: 30s }",
            "",
            format!("the value is not one of the known answers. {STALE_REMEDY}"),
        ),
        (
            "{ allow_for: 30s, deny: true }",
            "",
            format!("the value is not one of the known answers. {STALE_REMEDY}"),
        ),
        (
            "{ allow_for: [30s] }",
            ".allow_for",
            format!("the value is not a duration. {STALE_REMEDY}"),
        ),
        (
            "{ allow_for: 30 }",
            ".allow_for",
            "`30` is not a duration. Write a whole number and a unit: 250ms, 30s, 15m, 12h, 7d."
                .to_owned(),
        ),
        (
            "{ allow_for: ever }",
            ".allow_for",
            "`ever` is not a duration. Write a whole number and a unit: 250ms, 30s, 15m, 12h, 7d."
                .to_owned(),
        ),
    ] {
        let text = format!("when_stale: {answer}");
        let default = format!("6: error: revocation.when_stale{field}: {told}");
        let own = format!("6: error: routes[1].when_stale{field}: {told}");
        each_is_refused([(revocation(&text), default.as_str()), (route(&text), own.as_str())]);
    }
}

/// Nobody is asked who they are there, so nobody can have been cut off.
#[test]
fn staleness_means_nothing_on_a_public_route() {
    for answer in ["deny", "{ allow_for: 30s }", "nonsense"] {
        let text = with(&format!(
            "  - {{ name: a, match: {{ path: /a }}, upstream: behind, public: true, \
             when_stale: {answer} }}"
        ));
        let told = "6: error: routes[1].when_stale: `when_stale` has no effect on a public route. \
                    Remove it, or `public`.";
        each_is_refused([(text, told)]);
    }
}

#[test]
fn bad_answer_to_staleness_is_named_beside_another_mistake() {
    let text = route("when_stale: later, require: { scopes: ['a b'] }, issuers: [nobody]");
    let problems = problems(text);
    let fields: Vec<_> = problems.iter().map(|problem| problem.split(": ").nth(2)).collect();
    let expected = ["issuers[0]", "require.scopes[0]", "when_stale"];
    let expected = expected.map(|field| format!("routes[1].{field}"));
    assert_eq!(fields, expected.each_ref().map(|field| Some(field.as_str())), "{problems:#?}");
}

/// `portcullis check` tells who passes when nobody knows who was cut off.
#[test]
fn table_tells_what_a_route_does_when_the_list_is_too_old() {
    for (answer, told) in [
        ("deny", "bearer from idp"),
        ("allow", "bearer from idp, passes when revocations are stale"),
        ("deny_writes", "bearer from idp, reads pass when revocations are stale"),
        ("{ allow_for: 30s }", "bearer from idp, passes for 30s when revocations are stale"),
        ("{ allow_for: 250ms }", "bearer from idp, passes for 250ms when revocations are stale"),
        ("{ allow_for: 90m }", "bearer from idp, passes for 5400s when revocations are stale"),
    ] {
        let field = format!("when_stale: {answer}");
        let default = revocation(&format!("max_staleness: 7s, {field}"));
        for text in [route(&field), default.replacen("public: true", "authenticate: [bearer]", 1)] {
            let ran = examine(&text);
            let policies = ran.stdout.lines().filter(|line| line.ends_with(told)).count();
            assert!(ran.code == 0 && policies == 1, "{answer}: {ran:?}");
        }
    }
}

// ---- the audit log

#[test]
fn audit_log_is_a_file() {
    all_compile([
        with("audit_log: {}"),
        with("audit_log: { file: audit.jsonl }"),
        with("audit_log: { file: data/not/there/yet/audit.jsonl }"),
        with("audit_log: { file: /var/log/audit.jsonl }"),
    ]);
    let told = "cannot be the audit log: it is a directory. Name a file.";
    each_is_refused([
        (with("audit_log: { file: '' }"), format!("6: error: audit_log.file: `` {told}").as_str()),
        (with("audit_log: { file: . }"), format!("6: error: audit_log.file: `.` {told}").as_str()),
    ]);
}

// ---- the gateway's name

#[test]
fn name_of_the_gateway_is_a_name() {
    let place = |value: &str| with(&format!("server: {{ name: '{value}' }}"));
    let longest = "n".repeat(64);
    all_compile(["gateway-1", "A.b_c", &longest].map(place));
    let too_long = "n".repeat(65);
    for name in ["", "a b", "a\tb", "é", "a/b", &too_long] {
        let problem = format!(
            "6: error: server.name: `{name}` cannot be a name. \
             Use up to 64 letters, digits, `-`, `_` and `.`."
        );
        each_is_refused([(place(name), problem.as_str())]);
    }
}
