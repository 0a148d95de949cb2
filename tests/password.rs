//! Passwords: how often they may be tried, and what comparing them costs others.

mod attempts;
mod hashing;
