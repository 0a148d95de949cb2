//! The syntax of fields that hold text: schemas with which editors mark mistakes.
//!
//! The type of such a field is still `String`: `compile` reads it, and reports what is wrong.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// What any text may hold instead: `${NAME}` is filled in before the text is read.
const ENVIRONMENT: &str = r".*\$\{.*";

/// Kinds of text, each with its name for users and the pattern that it follows.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident: $name:literal, $pattern:literal;)+) => {$(
        $(#[doc = $doc])+
        pub(super) struct $kind;

        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                stringify!($kind).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "title": $name,
                    "description": concat!($($doc),+).trim(),
                    "type": "string",
                    "pattern": format!("^(?:{}|{ENVIRONMENT})$", $pattern),
                })
            }
        }
    )+};
}

/// Choices: a text that is one of a few words.
macro_rules! choices {
    ($($(#[doc = $doc:literal])+ $kind:ident: $name:literal, [$($word:literal),+];)+) => {$(
        $(#[doc = $doc])+
        pub(super) struct $kind;

        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                stringify!($kind).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "title": $name,
                    "description": concat!($($doc),+).trim(),
                    "type": "string",
                    "anyOf": [
                        { "enum": [$($word),+] },
                        { "pattern": format!("^{ENVIRONMENT}$") },
                    ],
                })
            }
        }
    )+};
}

kinds! {
    /// A whole number and a unit: `250ms`, `30s`, `15m`, `12h` or `7d`.
    Duration: "duration", r"0*[1-9][0-9]*(?:ms|s|m|h|d)";
    /// A duration, or `0s` for none.
    DurationOrZero: "duration or `0s`", r"0s|0*[1-9][0-9]*(?:ms|s|m|h|d)";
    /// A whole number and a unit: `512B`, `64KiB`, `10MiB` or `1GiB`.
    Size: "size", r"0*[1-9][0-9]*(?:B|KiB|MiB|GiB)";
    /// A size for each second: `500B/s`, `8KiB/s`; `0B/s` for none.
    Rate: "rate", r"(?:0B|0*[1-9][0-9]*(?:B|KiB|MiB|GiB))/s";
    /// A number and the period that it is for, up to a day: `10/15m`.
    Budget: "budget", r"\s*\+?0*[1-9][0-9]*\s*/\s*0*[1-9][0-9]*(?:ms|s|m|h|d)\s*";
    /// The path of a file or directory. A relative one is relative to the configuration file.
    Path: "path", r".*";
    /// An IP address with a port: `127.0.0.1:8080`, `[::]:8080`.
    Address: "address", r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.%]+\]):[0-9]{1,5}";
    /// An IP address or a network: `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`.
    Network: "network", r"(?:[0-9]+(?:\.[0-9]+){3}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)(?:/[0-9]{1,3})?";
    /// A host or an IP address, with a port: `10.0.0.7:8080`, `orders.internal:8080`.
    Peer: "host and port", r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.%]+\]):0*[1-9][0-9]{0,4}";
    /// Up to 64 letters, digits, `-`, `_` and `.`; it appears in metrics and logs.
    Name: "name", r"[A-Za-z0-9_.-]{1,64}";
    /// The URL of a Redis: `redis://host:6379/0`, or `rediss://` for TLS.
    RedisUrl: "Redis URL", r"rediss?://[^/]+(?:/[0-9]*)?";
    /// The prefix of the keys in Redis: up to 64 characters, without braces and spaces.
    RedisPrefix: "key prefix", r"[^{}\s]{1,64}";
    /// A URL with `https://`. With `http://`, the host must be a loopback address.
    HttpsUrl: "URL", r"https://.+|http://(?:[^/@]*@)?(?:localhost|127\.0\.0\.1|\[::1\])(?:[:/?].*)?";
    /// An issuer (RFC 8414): `https://host` or `https://host/path`, in lower case, without default
    /// port and without a trailing slash. `http://` is for loopback addresses only.
    IssuerUrl: "issuer URL", r"(?:https://[^/@A-Z]+|http://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]+)?)(?:/[A-Za-z0-9._~-]+)*";
    /// An origin as browsers write it (RFC 6454): `https://app.example`, in lower case, without
    /// path and default port.
    Origin: "origin", r"https?://[^\s/@?#*A-Z]+";
    /// An origin, or a whole URL.
    OriginOrUrl: "origin or URL", r"https?://[^\s/@?#*A-Z]+(?:/.*)?";
    /// A JSON pointer (RFC 6901): `/user/id`.
    JsonPointer: "JSON pointer", r"/.*";
    /// The name of a claim, or a JSON pointer (RFC 6901) to one.
    Claim: "claim or pointer", r".+";
    /// The name of a claim.
    ClaimName: "claim name", r"[^/].*";
    /// The name of a header.
    HeaderName: "header", r"[0-9A-Za-z!#$%&'*+.^_`|~-]+";
    /// A scope (RFC 6749 §3.3): visible ASCII without space, `"` and `\`.
    Scope: "scope", r"[!#-\[\]-~]+";
    /// The name of a service to which a token is addressed.
    Audience: "audience", r".+";
    /// The name of a service: visible ASCII without spaces.
    InternalAudience: "service name", r"[!-~]+";
    /// The name of a cookie (RFC 6265 §4.1.1), up to 64 characters.
    CookieName: "cookie name", r"[0-9A-Za-z!#$%&'*+.^_`|~-]{1,64}";
    /// A domain that has subdomains: `example.com`.
    Domain: "domain", r"[^.\s/:A-Z]+(?:\.[^.\s/:A-Z]+)+";
    /// A host, or `*.` and a domain for all hosts below it, at any depth; without port.
    HostPattern: "host", r"(?:\*\.)?(?:\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+)";
    /// A path of literal segments, `{name}` for any one segment and, last, `{*name}` for the rest.
    PathPattern: "path pattern", r"/.*";
    /// A path as it is sent.
    RequestPath: "request path", r"/.*";
    /// A path without a trailing slash: `/auth`.
    BasePath: "base path", r"(?:/[A-Za-z0-9_~-]+)+";
    /// A method (RFC 9110 §9), in capital letters.
    Method: "method", r"[0-9A-Z!#$%&'*+.^_`|~-]+";
    /// Up to 128 visible ASCII characters, without spaces and `:`.
    ClientId: "client id", r"[!-9;-~]{1,128}";
    /// A hash that `portcullis password hash` makes (argon2id).
    PasswordHash: "password hash", r"\$argon2id\$.+";
    /// A secret. Name a file in the corresponding field, or write `${NAME}`: a secret in the file
    /// itself is a warning.
    Secret: "secret", r"[\s\S]*\S[\s\S]*";
    /// Visible ASCII and spaces, without `"` and `\`.
    Quotable: "quotable text", r"[ !#-\[\]-~]*";
    /// Any text that is not empty.
    Text: "text", r"[\s\S]+";
}

choices! {
    /// How the access log is written.
    LogFormat: "format", ["auto", "json", "text"];
    /// Which code serves plain requests.
    Lane: "lane", ["fast", "pingora"];
    /// How subjects appear in the access log.
    SubjectForm: "form", ["plain", "hashed", "omitted"];
    /// The value of `SameSite` of a cookie.
    SameSite: "SameSite", ["strict", "lax", "none"];
    /// Which response a client gets when a login fails.
    OnFailure: "answer", ["own", "pass_through"];
    /// The algorithm that the gateway signs with.
    SigningAlgorithm: "algorithm", ["ES256", "EdDSA", "RS256"];
    /// The algorithm that a token is signed with (RFC 7518 §3.1, RFC 8037).
    Algorithm: "algorithm", [
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
        "ES384", "EdDSA"
    ];
    /// An algorithm whose key can be public.
    PublicKeyAlgorithm: "algorithm", [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"
    ];
    /// How the peer of a request is chosen.
    Balance: "way", ["round_robin"];
    /// Where a credential comes from.
    Carrier: "credential", ["bearer", "session", "api_key"];
    /// Something in a path that servers read differently.
    DangerousPath: "spelling", [
        "encoded_slash", "semicolon", "encoded_percent", "empty_segment", "case", "trailing_slash",
        "trailing_dot"
    ];
    /// Whether an upstream gets the credential.
    ForwardCredential: "way", ["strip", "keep"];
}

/// What happens to requests while the revocation list is stale.
pub(super) struct WhenStale;

impl JsonSchema for WhenStale {
    fn schema_name() -> Cow<'static, str> {
        "WhenStale".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "answer",
            "description": "What requests get while the revocation list is stale.",
            "anyOf": [
                { "enum": ["deny", "allow", "deny_writes"] },
                { "type": "string", "pattern": format!("^{ENVIRONMENT}$") },
                {
                    "type": "object",
                    "properties": { "allow_for": generator.subschema_for::<Duration>() },
                    "required": ["allow_for"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// The accepted values of a claim.
pub(super) struct ClaimValues;

impl JsonSchema for ClaimValues {
    fn schema_name() -> Cow<'static, str> {
        "ClaimValues".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let value = || json_schema!({ "type": ["string", "number", "boolean"] });
        json_schema!({
            "title": "value or list of values",
            "description": "A string, a number, a boolean, or a list of them.",
            "anyOf": [value(), { "type": "array", "items": value(), "minItems": 1 }],
        })
    }
}
