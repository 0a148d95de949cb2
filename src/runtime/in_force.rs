//! Access to the configuration in force.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::running::Running;

/// A holder of the configuration in force.
pub trait Source: Send + Sync {
    /// The configuration in force at this moment.
    fn load(&self) -> Arc<Running>;
}

/// A handle to the configuration in force. Feeds and endpoints read it where requests do, so that
/// all see a reload at the same instant.
#[derive(Clone)]
pub struct InForce(Arc<dyn Source>);

impl InForce {
    /// A handle to what `source` holds.
    pub fn new(source: Arc<dyn Source>) -> Self {
        Self(source)
    }

    /// The configuration in force at this moment. One operation loads it only once.
    pub fn load(&self) -> Arc<Running> {
        self.0.load()
    }
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InForce")
    }
}

impl Source for ArcSwap<Running> {
    fn load(&self) -> Arc<Running> {
        self.load_full()
    }
}
