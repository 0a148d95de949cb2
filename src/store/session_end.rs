//! Why sessions end, for metrics and for the log.

/// Why a session ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionEnd {
    /// Its user logged out.
    Logout,
    /// They logged out everywhere; counted once, however many sessions they had.
    LogoutEverywhere,
    /// They ended it from another one.
    Device,
    /// They logged in again.
    Replaced,
    /// They had too many.
    Displaced,
    /// An operator ended it.
    Operator,
    /// Their entry in the password file changed; counted once for each user.
    UserChanged,
    /// The client of its refresh token revoked the token (RFC 7009).
    Client,
    /// A refresh token of it was used twice.
    RefreshReused,
}

impl SessionEnd {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Logout,
        Self::LogoutEverywhere,
        Self::Device,
        Self::Replaced,
        Self::Displaced,
        Self::Operator,
        Self::UserChanged,
        Self::Client,
        Self::RefreshReused,
    ];

    /// The label value in metrics, and the reason in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::LogoutEverywhere => "logout_everywhere",
            Self::Device => "device",
            Self::Replaced => "replaced",
            Self::Displaced => "displaced",
            Self::Operator => "operator",
            Self::UserChanged => "user_changed",
            Self::Client => "client",
            Self::RefreshReused => "refresh_reused",
        }
    }
}
