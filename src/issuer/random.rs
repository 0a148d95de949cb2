//! Randomness for secrets.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// 256 random bits.
///
/// # Errors
///
/// If the random source fails.
pub fn bits() -> Result<Zeroizing<[u8; 32]>, Unspecified> {
    let mut bits = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(&mut *bits)?;
    Ok(bits)
}
