//! Outcomes of an exchange of a refresh token, and why nothing was exchanged.

use crate::gate::denial::Slug;
use crate::oauth::refusal::TokenRefusal;

/// What came of an exchange, for the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefreshOutcome {
    Ok,
    Replayed,
    ReuseDetected,
    Expired,
    Revoked,
    Unknown,
    WrongClient,
    ClientRefused,
    Forged,
    Limited,
    Malformed,
    /// More was wanted than there is, or than fits.
    Refused,
    Unavailable,
}

impl RefreshOutcome {
    /// The value of the label `outcome`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Replayed => "replayed",
            Self::ReuseDetected => "reuse_detected",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
            Self::WrongClient => "wrong_client",
            Self::ClientRefused => "client_refused",
            Self::Forged => "forged",
            Self::Limited => "limited",
            Self::Malformed => "malformed",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Why nothing was exchanged.
pub(super) struct RefreshFailure {
    pub(super) outcome: RefreshOutcome,
    pub(super) refusal: TokenRefusal,
}

impl RefreshFailure {
    /// A token that is not good.
    pub(super) fn of(outcome: RefreshOutcome, description: &'static str) -> Self {
        let slug = match outcome {
            RefreshOutcome::ReuseDetected => Slug::RefreshReused,
            RefreshOutcome::Ok
            | RefreshOutcome::Replayed
            | RefreshOutcome::Expired
            | RefreshOutcome::Revoked
            | RefreshOutcome::Unknown
            | RefreshOutcome::WrongClient
            | RefreshOutcome::ClientRefused
            | RefreshOutcome::Forged
            | RefreshOutcome::Limited
            | RefreshOutcome::Malformed
            | RefreshOutcome::Refused
            | RefreshOutcome::Unavailable => Slug::GrantInvalid,
        };
        Self { outcome, refusal: TokenRefusal::grant(slug, description) }
    }

    /// Whether the token was looked at, and will not be good any more.
    pub(super) fn is_final(&self) -> bool {
        match self.outcome {
            RefreshOutcome::ReuseDetected
            | RefreshOutcome::Expired
            | RefreshOutcome::Revoked
            | RefreshOutcome::Unknown => !self.refusal.is_outage(),
            RefreshOutcome::Ok
            | RefreshOutcome::Replayed
            | RefreshOutcome::WrongClient
            | RefreshOutcome::ClientRefused
            | RefreshOutcome::Forged
            | RefreshOutcome::Limited
            | RefreshOutcome::Malformed
            | RefreshOutcome::Refused
            | RefreshOutcome::Unavailable => false,
        }
    }
}

impl<T: Into<TokenRefusal>> From<T> for RefreshFailure {
    fn from(refusal: T) -> Self {
        let refusal = refusal.into();
        let slug = refusal.slug();
        let outcome = if refusal.is_outage() {
            RefreshOutcome::Unavailable
        } else if matches!(slug, Slug::RateLimited | Slug::VerificationBudget) {
            RefreshOutcome::Limited
        } else if slug == Slug::ClientInvalid {
            RefreshOutcome::ClientRefused
        } else if slug == Slug::Csrf {
            RefreshOutcome::Forged
        } else {
            RefreshOutcome::Refused
        };
        Self { outcome, refusal }
    }
}
