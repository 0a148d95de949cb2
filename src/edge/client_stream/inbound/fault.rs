//! Why the body of a request cannot be had.

use std::fmt;
use std::io;

use crate::gate::denial::{Denial, Slug};

/// What ends a request whose body cannot be had. Travels through Pingora as the cause of its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum Fault {
    /// The body is not chunked as it should be.
    Malformed(&'static str),
    /// The body does not come, or not fast enough.
    Late,
    /// The upstream has all of the body, and does not answer.
    Unanswered,
}

impl Fault {
    /// The fault that an error of Pingora's came of, if it was one.
    pub(in crate::edge) fn of(error: &pingora::Error) -> Option<Self> {
        error.root_cause().downcast_ref::<io::Error>()?.get_ref()?.downcast_ref().copied()
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed(reason) => reason,
            Self::Late => "the body did not arrive in time",
            Self::Unanswered => "nothing was sent for as long as timeouts.read",
        }
    }

    /// The refusal that the client gets.
    pub(in crate::edge) fn denial(self) -> Denial {
        match self {
            Self::Malformed(reason) => Denial::new(Slug::RequestFraming).because(reason),
            Self::Late => Denial::new(Slug::RequestTimeout).because(self.as_str()),
            Self::Unanswered => Denial::new(Slug::UpstreamTimeout).because(self.as_str()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::error::Error for Fault {}
