//! Things that may be absent: an optional section, or what a name refers to.

use std::ops::Deref;

/// Whether something is present, and was valid.
#[derive(Clone, Copy, Debug)]
pub(super) enum Presence<T> {
    /// It is absent.
    Absent,
    /// It is present, but a problem with it was reported.
    Broken,
    /// It is present and valid.
    Present(T),
}

/// A problem was reported already.
#[derive(Debug)]
pub(super) struct Reported;

impl<T> Presence<T> {
    /// A thing that is present: broken if it could not be compiled.
    pub(super) fn of(read: Option<T>) -> Self {
        match read {
            Some(value) => Self::Present(value),
            None => Self::Broken,
        }
    }

    pub(super) fn as_ref(&self) -> Presence<&T> {
        match self {
            Self::Absent => Presence::Absent,
            Self::Broken => Presence::Broken,
            Self::Present(value) => Presence::Present(value),
        }
    }

    /// The target of a pointer.
    pub(super) fn as_deref(&self) -> Presence<&T::Target>
    where
        T: Deref,
    {
        self.as_ref().and_then(|pointer| Some(&**pointer))
    }

    /// The same for a part of it; broken if that part is.
    pub(super) fn and_then<P>(self, part: impl FnOnce(T) -> Option<P>) -> Presence<P> {
        match self {
            Self::Absent => Presence::Absent,
            Self::Broken => Presence::Broken,
            Self::Present(value) => Presence::of(part(value)),
        }
    }

    /// The value, if it is present and valid.
    pub(super) fn present(self) -> Option<T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Broken => None,
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The value, if it is present.
    ///
    /// # Errors
    ///
    /// If it is broken.
    pub(super) fn whole(self) -> Result<Option<T>, Reported> {
        match self {
            Self::Absent => Ok(None),
            Self::Broken => Err(Reported),
            Self::Present(value) => Ok(Some(value)),
        }
    }
}
