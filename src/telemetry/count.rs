//! A number that decisions depend on, and that is shown as a gauge when metrics are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Opts};

/// How many of something there are. The gauge cannot change the number.
#[derive(Clone, Debug)]
pub struct Count {
    number: Arc<AtomicUsize>,
    shown: IntGauge,
}

impl Count {
    /// A count of zero.
    ///
    /// # Errors
    ///
    /// If `name` is not a valid metric name.
    pub fn new(name: &str, help: &str) -> prometheus::Result<Self> {
        let shown = IntGauge::with_opts(Opts::new(name, help))?;
        Ok(Self { number: Arc::default(), shown })
    }

    /// Adds one. Returns the number before.
    pub fn add_one(&self) -> usize {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// Subtracts one that was counted.
    pub fn take_one(&self) {
        self.number.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number.
    pub fn number(&self) -> usize {
        self.number.load(Ordering::Relaxed)
    }
}

impl Collector for Count {
    fn desc(&self) -> Vec<&Desc> {
        self.shown.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.shown.set(i64::try_from(self.number()).unwrap_or(i64::MAX));
        self.shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_shown_as_it_is_when_asked() {
        let count = Count::new("open", "Open.").expect("a name");
        assert_eq!([count.add_one(), count.add_one()], [0, 1]);
        let shown = || count.collect()[0].get_metric()[0].get_gauge().get_value();
        assert_eq!(shown(), 2.0);
        // The gauge decides nothing.
        count.shown.set(100);
        count.take_one();
        assert_eq!((count.number(), shown()), (1, 1.0));
    }
}
