//! Decides which paths belong to the gateway's own endpoints.

use super::denial::Slug;
use super::path::CanonicalPath;

/// Whether a path is below `base`, or one of `paths`.
///
/// # Errors
///
/// [`Slug::RequestTarget`] if servers would disagree about that.
pub(super) fn is_builtin(
    path: &CanonicalPath<'_>,
    base: Option<&str>,
    paths: &[Box<str>],
) -> Result<bool, Slug> {
    if let Some(base) = base
        && is_below(path, base)?
    {
        return Ok(true);
    }
    for own in paths {
        if is_at(path, own)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a path is `base`, or below it. An error if servers would disagree.
fn is_below(path: &CanonicalPath<'_>, base: &str) -> Result<bool, Slug> {
    let is = |path: &str| {
        path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_loosely = |path: &str| {
        let mut found = loose_segments(path);
        loose_segments(base).all(|segment| found.next() == Some(segment))
    };
    is_ours(path, is, is_loosely)
}

/// Whether a path is exactly this one. An error if servers would disagree.
fn is_at(path: &CanonicalPath<'_>, own: &str) -> Result<bool, Slug> {
    let is_loosely = |path: &str| loose_segments(path).eq(loose_segments(own));
    is_ours(path, |path| path == own, is_loosely)
}

fn is_ours(
    path: &CanonicalPath<'_>,
    is: impl Fn(&str) -> bool,
    is_loosely: impl Fn(&str) -> bool,
) -> Result<bool, Slug> {
    let (sent, decoded) = (path.as_str(), path.decoded());
    if decoded.is_none() && path.ambiguities().is_empty() {
        return Ok(is(sent));
    }
    // Whatever the route would allow: a route does not decide which paths are ours.
    if is_loosely(sent) || decoded.is_some_and(&is_loosely) {
        let is_clear = is(sent) && path.ambiguities().is_empty() && decoded.is_none_or(is);
        return if is_clear { Ok(true) } else { Err(Slug::RequestTarget) };
    }
    Ok(false)
}

/// How a server reads a path that merges slashes and cuts off path parameters.
fn loose_segments(path: &str) -> impl Iterator<Item = &str> {
    let whole = path.split('/').filter_map(|segment| segment.split(';').next());
    whole.filter(|segment| !segment.is_empty())
}
