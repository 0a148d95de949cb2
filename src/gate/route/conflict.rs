//! Conflicts of routes: why one cannot be added to the table.

/// Two routes claim the same requests.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The earlier route.
    pub earlier: usize,
    /// The later one.
    pub later: usize,
}

/// Why a route cannot be added.
#[derive(Debug, PartialEq, Eq)]
pub enum AddError {
    /// Another route matches the same requests.
    Conflict(Conflict),
    /// The path pattern is not one.
    Pattern(String),
}
