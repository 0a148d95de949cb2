//! Renders pages: plain, accessible, without scripts, and without external content.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, header};

use crate::web::answers;
use crate::web::message::Answer;

/// The only style. Its digest is in the policy, so that no other can be injected.
const STYLE: &str = "\
:root{color-scheme:light dark}\
*{box-sizing:border-box}\
body{font:1rem/1.5 system-ui,sans-serif;margin:0;padding:1rem;background:#f5f5f5;color:#1a1a1a}\
main{max-width:22rem;margin:10vh auto 0;padding:1.5rem;background:#fff;border-radius:.5rem}\
main:has(table){max-width:44rem}\
h1{font-size:1.5rem;margin:0 0 1rem}\
label{display:block;font-weight:600;margin-bottom:.25rem}\
p{margin:0 0 1rem;overflow-wrap:anywhere}\
input,button{font:inherit;width:100%;padding:.6rem;border-radius:.25rem;border:1px solid #767676}\
input{background:#fff;color:#1a1a1a}\
button{background:#0b57d0;border-color:#0b57d0;color:#fff;font-weight:600}\
button.second{background:none;color:inherit;border-color:currentColor}\
input:focus-visible,button:focus-visible{outline:3px solid #0b57d0;outline-offset:2px}\
.wide{overflow-x:auto;margin:0 0 1rem}\
table{border-collapse:collapse}\
caption{text-align:left;padding-bottom:.5rem}\
th,td{text-align:left;vertical-align:top;padding:.4rem .8rem .4rem 0;\
border-bottom:1px solid #767676}\
.problem{padding:.6rem;border-left:4px solid #b3261e;background:#fceeee;color:#8c1d18}\
@media(prefers-color-scheme:dark){\
body{background:#121212;color:#ececec}main{background:#1e1e1e}\
input{background:#121212;color:#ececec;border-color:#8e8e8e}\
button{background:#a8c7fa;border-color:#a8c7fa;color:#062e6f}button.second{background:none;color:inherit}\
input:focus-visible,button:focus-visible{outline-color:#a8c7fa}\
.problem{background:#3b1513;border-color:#f2b8b5;color:#f9dedc}}";

/// A whole page.
pub(crate) struct HtmlPage<'a> {
    pub(crate) title: &'a str,
    /// Its content, in HTML.
    pub(crate) body: &'a str,
}

impl HtmlPage<'_> {
    /// The page as a response.
    pub(crate) fn answer(&self, status: u16) -> Answer {
        let Self { title, body } = self;
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
             {body}</main>\n</body>\n</html>\n"
        );
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        let mut answer = answers::with_body(status, kind, html);
        let policy = answers::field(header::CONTENT_SECURITY_POLICY, &POLICY);
        answer.fields.extend(policy);
        answer.fields.extend([
            (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            // Without a referrer, the browser would send the form with `Origin: null`.
            (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        ]);
        answer
    }
}

/// The content security policy of pages. It omits `form-action`, since browsers also apply that to
/// redirects after the form, and the page that the user asked for may redirect anywhere.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = digest::digest(&digest::SHA256, STYLE.as_bytes());
    let style = STANDARD.encode(hash);
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; frame-ancestors 'none'; base-uri 'none'"
    )
});

/// Text in which nothing is HTML syntax, for use between tags and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // A document may not contain it.
            '\0' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(answer: &Answer, name: &str) -> String {
        let found = answer.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.to_str().expect("text").to_owned()).unwrap_or_default()
    }

    #[test]
    fn policy_names_the_style_that_is_there() {
        let answer = HtmlPage { title: "A title", body: "<p>A body.</p>" }.answer(200);
        let policy = field(&answer, "content-security-policy");
        let text = String::from_utf8(answer.body.to_vec()).expect("text");
        let style = text.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next());
        let hash = digest::digest(&digest::SHA256, style.expect("a style").as_bytes());
        assert!(policy.contains(&format!("style-src 'sha256-{}';", STANDARD.encode(hash))));
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("script"));
        assert_eq!(field(&answer, "cache-control"), "no-store");
        assert_eq!(field(&answer, "x-frame-options"), "DENY");
        assert_eq!(field(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(field(&answer, "referrer-policy"), "same-origin");
    }
}
