//! Request fields that recipients read differently: names that are folded, fields that may appear
//! once, and fields that some framework trusts more than the request line.

use http::{HeaderMap, header};

use super::denial::{Denial, Slug};

/// These fields say where a request ends, and which host it is for. A recipient that folds names
/// reads `Content_Length` as one of them (RFC 9110 §17.10).
const FRAMING: [&str; 3] = ["content-length", "transfer-encoding", "host"];

/// Fields without a list syntax: some recipients use the first of several, others the last (RFC
/// 9110 §5.3). They describe the body, the part that is requested, and the origin of the request.
const SINGLETONS: [&str; 10] = [
    "content-length",
    "content-type",
    "content-location",
    "content-range",
    "range",
    "if-range",
    "if-modified-since",
    "if-unmodified-since",
    "origin",
    "referer",
];

/// Fields that some recipient takes for the requested target, method or host: Symfony, Laminas,
/// Yii, WordPress and IIS (`X-Original-URL`, `X-Rewrite-URL`), services behind nginx'
/// `auth_request` (`X-Original-URI`, `-Method`), Flask's usual prefix middleware (`X-Script-Name`),
/// Envoy, Azure.
const REWRITES: [&str; 14] = [
    "x-original-url",
    "x-original-uri",
    "x-original-path",
    "x-original-method",
    "x-original-host",
    "x-rewrite-url",
    "x-override-url",
    "x-proxy-url",
    "x-script-name",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-waws-unencoded-url",
    "x-envoy-original-path",
    "x-envoy-original-dst-host",
];

/// Fields that become a variable of the same name: gunicorn strips the value of `Script-Name` from
/// the path that it routes by, and `Proxy` sets the proxy for a CGI program's own requests
/// (CVE-2016-5385).
const VARIABLES: [&str; 3] = ["script-name", "path-info", "proxy"];

/// Fields that frameworks take for the method.
const METHODS: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// What happens to fields that ask for another method than the request line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodOverride {
    /// They are forwarded.
    Kept,
    /// They are removed, because the decision depended on the method.
    Stripped,
}

/// Refuses a request with fields that could be read in two ways.
///
/// # Errors
///
/// [`Slug::RequestFraming`] for a name that is not that of a framing field but may be read as one,
/// and for a repeated field that may appear once.
pub fn read(fields: &HeaderMap) -> Result<(), Denial> {
    let refuse = |reason: String| Err(Denial::new(Slug::RequestFraming).because(reason));
    for name in fields.keys() {
        if let Some(meant) = framing_alias(name.as_str()) {
            return refuse(format!("some servers read `{name}` as `{meant}`"));
        }
        if let Some(other) = folded_singleton(name.as_str()).filter(|it| fields.contains_key(*it)) {
            return refuse(format!("`{other}` is repeated: some servers read `{name}` as it"));
        }
    }
    // In most requests no name is repeated.
    if fields.len() == fields.keys_len() {
        return Ok(());
    }
    let repeated = |name: &&&str| fields.get_all(**name).iter().nth(1).is_some();
    match SINGLETONS.iter().find(repeated) {
        Some(name) => refuse(format!("`{name}` is repeated")),
        None => Ok(()),
    }
}

/// The framing field that `name`, in lower case, spells if only letters and digits are compared.
fn framing_alias(name: &str) -> Option<&'static str> {
    let spelt = |name: &str, meant: &str| {
        let read = name.bytes().filter(u8::is_ascii_alphanumeric);
        read.eq(meant.bytes().filter(u8::is_ascii_alphanumeric))
    };
    let meant = match name.bytes().find(u8::is_ascii_alphanumeric) {
        Some(b'c') => FRAMING[0],
        Some(b't') => FRAMING[1],
        Some(b'h') => FRAMING[2],
        Some(_) | None => return None,
    };
    (name != meant && spelt(name, meant)).then_some(meant)
}

/// The field of [`SINGLETONS`] that a recipient which folds names takes for `name`, in lower case.
fn folded_singleton(name: &str) -> Option<&'static str> {
    // No other field begins with one of these letters.
    if !matches!(name.as_bytes().first(), Some(b'c' | b'i' | b'o' | b'r')) {
        return None;
    }
    SINGLETONS.into_iter().find(|other| *other != name && is_like(name, other))
}

/// The canonical form of a `Content-Length` with leading zeros, which are allowed (RFC 9110 §8.6)
/// but read as octal by some. `None` if it is canonical.
pub fn canonical_length(fields: &HeaderMap) -> Option<&[u8]> {
    let digits = fields.get(header::CONTENT_LENGTH)?.as_bytes();
    match digits {
        [b'0', rest @ ..] if !rest.is_empty() => {
            let zeros = rest.iter().take_while(|digit| **digit == b'0').count();
            Some(&rest[zeros.min(rest.len() - 1)..])
        }
        _ => None,
    }
}

/// Whether some recipient trusts the field more than the request line or `Host`.
pub fn is_rewrite(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'x') => is_any(name, &REWRITES),
        Some(b's' | b'p') => is_any(name, &VARIABLES),
        Some(_) | None => false,
    }
}

/// Whether the field asks for another method than the request line does.
pub fn is_method_override(name: &str) -> bool {
    name.starts_with('x') && is_any(name, &METHODS)
}

fn is_any(name: &str, names: &[&str]) -> bool {
    names.iter().any(|other| is_like(name, other))
}

/// Whether a recipient that folds names may read `name`, in lower case, as `other`.
pub fn is_like(name: &str, other: &str) -> bool {
    name.len() == other.len() && starts_like(name, other)
}

/// Whether `name`, in lower case, begins with `prefix` for a recipient that folds names:
/// `x_forwarded_for` is `x-forwarded-for` to a CGI or WSGI server.
pub fn starts_like(name: &str, prefix: &str) -> bool {
    let fold = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    name.len() >= prefix.len() && name.bytes().zip(prefix.bytes()).all(|(a, b)| fold(a) == fold(b))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        fields.collect()
    }

    #[test]
    fn framing_fields_are_recognised_in_every_spelling_but_their_own() {
        for (name, meant) in [
            ("content_length", "content-length"),
            ("content.length", "content-length"),
            ("contentlength", "content-length"),
            ("content-length.", "content-length"),
            ("~content--length", "content-length"),
            ("transfer_encoding", "transfer-encoding"),
            ("host_", "host"),
        ] {
            assert_eq!(framing_alias(name), Some(meant), "{name}");
        }
        for name in ["content-length", "host", "content-lengths", "x-content_length", "hos", "-"] {
            assert_eq!(framing_alias(name), None, "{name}");
        }
    }

    #[test]
    fn repetition_is_refused_of_what_may_come_once() {
        let read = |pairs: &[_]| read(&fields(pairs)).map_err(|denial| denial.reason().to_owned());
        assert_eq!(read(&[("content-type", "a"), ("accept", "a"), ("accept", "b")]), Ok(()));
        assert_eq!(
            read(&[("content-type", "a"), ("content-type", "a")]),
            Err("`content-type` is repeated".to_owned())
        );
    }

    #[test]
    fn repetition_is_refused_of_what_is_spelt_otherwise() {
        let read = |pairs: &[_]| read(&fields(pairs)).map_err(|denial| denial.reason().to_owned());
        assert_eq!(read(&[("content_type", "a"), ("content-range", "a")]), Ok(()));
        assert_eq!(
            read(&[("content-type", "a"), ("content_type", "a")]),
            Err("`content-type` is repeated: some servers read `content_type` as it".to_owned())
        );
    }

    #[test]
    fn leading_zeros_are_no_part_of_a_length() {
        let canonical = |length| {
            let fields = fields(&[("content-length", length)]);
            canonical_length(&fields).map(|digits| String::from_utf8_lossy(digits).into_owned())
        };
        for length in ["0", "1", "10", "1000"] {
            assert_eq!(canonical(length), None, "{length}");
        }
        for (length, expected) in [("00", "0"), ("000", "0"), ("01", "1"), ("0010", "10")] {
            assert_eq!(canonical(length).as_deref(), Some(expected), "{length}");
        }
        assert_eq!(canonical_length(&HeaderMap::new()), None);
    }

    #[test]
    fn rewriting_fields_are_recognised_in_every_spelling() {
        for name in ["x-original-url", "x_original.url", "x-rewrite_url", "script_name", "proxy"] {
            assert!(is_rewrite(name), "{name}");
        }
        for name in ["x-original-urls", "x-original", "original-url", "script-names", ""] {
            assert!(!is_rewrite(name), "{name}");
        }
        assert!(is_method_override("x_http_method"));
        assert!(!is_method_override("http-method"));
    }
}
