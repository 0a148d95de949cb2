//! Conflicts of routes: why one cannot be added to the table.

/// Two routes claim the same requests.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The position of the earlier route.
    pub earlier: usize,
    /// The position of the later one.
    pub later: usize,
}

/// Why a route cannot be added.
#[derive(Debug, PartialEq, Eq)]
pub enum AddError {
    /// Another route matches the same requests.
    Conflict(Conflict),
    /// The path pattern is invalid.
    Pattern(String),
}
