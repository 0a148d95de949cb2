//! Other sites whose pages may use a session.

/// Other sites whose pages may send requests with the cookie, each `https://host` or
/// `https://host:port`, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<Box<str>>);

/// Where a request comes from, by its own headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From here, or from a site that may, or from its user's own hand.
    Permitted,
    /// From somewhere else, or it cannot be told.
    Foreign,
    /// It does not say: not a browser, or a very old one.
    Unsaid,
}
