//! Other sites whose pages may use a session.

/// Other sites whose pages may send requests with the cookie, each `https://host` or
/// `https://host:port`, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<Box<str>>);

/// Where a request comes from, according to its own headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From this site, from a permitted site, or directly from the user.
    Permitted,
    /// From another site, or from an origin that cannot be determined.
    Foreign,
    /// The headers do not say: the client is no browser, or a very old one.
    Unsaid,
}
