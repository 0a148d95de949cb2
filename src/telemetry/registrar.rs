//! Creates and registers the families of one room.
//!
//! Each room declares its families with `metrics!` in a `metrics.rs` next to what they count, and
//! gets them when it is built. Label values come from enums or from the configuration, never from a
//! request.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts,
};

use super::count::Count;
use super::label::Label;
use super::registry::{FamilyKind, MetricRegistry};

/// Creates and registers the families of one room. `metrics!` names a function for each kind.
#[derive(Debug)]
pub struct Registrar<'r> {
    registry: &'r mut MetricRegistry,
    room: String,
}

impl<'r> Registrar<'r> {
    /// For the families that a module declares: those in `portcullis::feed::sessions::metrics`
    /// belong to the room `feed/sessions`.
    pub fn new(registry: &'r mut MetricRegistry, module: &str) -> Self {
        let below = module.split_once("::").map_or(module, |(_, below)| below);
        let room = below.strip_suffix("::metrics").unwrap_or(below).replace("::", "/");
        Self { registry, room }
    }

    fn register<C: Collector + Clone + 'static>(
        &mut self,
        kind: FamilyKind,
        labels: &'static [Label],
        family: C,
    ) -> prometheus::Result<C> {
        self.registry.register(&self.room, kind, labels, family)
    }

    /// A counter.
    ///
    /// # Errors
    ///
    /// If its name is invalid or taken.
    pub fn counter(&mut self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.register(FamilyKind::Counter, &[], IntCounter::new(name, help)?)
    }

    /// A counter for each set of labels.
    ///
    /// # Errors
    ///
    /// If its name is invalid or taken.
    pub fn counters(
        &mut self,
        name: &str,
        help: &str,
        labels: &'static [Label],
    ) -> prometheus::Result<IntCounterVec> {
        let family = IntCounterVec::new(Opts::new(name, help), &names(labels))?;
        self.register(FamilyKind::Counter, labels, family)
    }

    /// A gauge of whole numbers.
    ///
    /// # Errors
    ///
    /// If its name is invalid or taken.
    pub fn gauge(&mut self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.register(FamilyKind::Gauge, &[], IntGauge::new(name, help)?)
    }

    /// A gauge of a number that decisions depend on.
    ///
    /// # Errors
    ///
    /// If its name is invalid or taken.
    pub fn count(&mut self, name: &str, help: &str) -> prometheus::Result<Count> {
        self.register(FamilyKind::Gauge, &[], Count::new(name, help)?)
    }

    /// A gauge of whole numbers for each set of labels.
    ///
    /// # Errors
    ///
    /// If its name is invalid or taken.
    pub fn gauges(
        &mut self,
        name: &str,
        help: &str,
        labels: &'static [Label],
    ) -> prometheus::Result<IntGaugeVec> {
        let family = IntGaugeVec::new(Opts::new(name, help), &names(labels))?;
        self.register(FamilyKind::Gauge, labels, family)
    }

    /// A gauge.
    ///
    /// # Errors
    ///
    /// If its name is invalid or taken.
    pub fn float_gauge(&mut self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.register(FamilyKind::Gauge, &[], Gauge::new(name, help)?)
    }

    /// A gauge for each set of labels.
    ///
    /// # Errors
    ///
    /// If its name is invalid or taken.
    pub fn float_gauges(
        &mut self,
        name: &str,
        help: &str,
        labels: &'static [Label],
    ) -> prometheus::Result<GaugeVec> {
        let family = GaugeVec::new(Opts::new(name, help), &names(labels))?;
        self.register(FamilyKind::Gauge, labels, family)
    }

    /// A histogram.
    ///
    /// # Errors
    ///
    /// If its name is invalid or taken.
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> prometheus::Result<Histogram> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(FamilyKind::Histogram, &[], Histogram::with_opts(opts)?)
    }

    /// A histogram for each set of labels.
    ///
    /// # Errors
    ///
    /// If its name is invalid or taken.
    pub fn histograms(
        &mut self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &'static [Label],
    ) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let family = HistogramVec::new(opts, &names(labels))?;
        self.register(FamilyKind::Histogram, labels, family)
    }
}

fn names(labels: &[Label]) -> Vec<&'static str> {
    labels.iter().map(|label| label.name).collect()
}

/// Declares the families of a room. One row gives each its field, its documentation, and its
/// registration.
///
/// ```text
/// metrics! {
///     /// Attempts to log in.
///     pub struct LoginMetrics {
///         pub logins: IntCounterVec = counters(
///             "portcullis_logins_total", "Attempts to log in.",
///             &[one_of("result", &["ok", "refused"])]);
///     }
/// }
/// ```
macro_rules! metrics {
    (
        $(#[$about:meta])*
        $visible:vis struct $metrics:ident {
            $($of_field:vis $field:ident: $kind:ty =
                $make:ident($name:literal, $help:literal $(, $more:expr)* $(,)?);)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        $visible struct $metrics {
            $(
                #[doc = concat!("`", $name, "`: ", $help)]
                $of_field $field: $kind,
            )*
        }

        impl $metrics {
            /// Registers the families.
            ///
            /// # Errors
            ///
            /// If a name is taken or invalid, which a test would have shown.
            $visible fn register(
                registry: &mut $crate::telemetry::registry::MetricRegistry,
            ) -> prometheus::Result<Self> {
                let mut room = $crate::telemetry::registrar::Registrar::new(registry, module_path!());
                Ok(Self { $($field: room.$make($name, $help $(, const { $more })*)?,)* })
            }
        }
    };
}
pub(crate) use metrics;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::label::{named, one_of};
    use crate::telemetry::registry::RegisteredFamily;

    const BY: Label = one_of("by", &["hand"]);
    const WHY: Label = named("why", "why");

    metrics! {
        /// Of a door.
        struct DoorMetrics {
            opened: IntCounterVec = counters("opened_total", "Times it was opened.", &[BY]);
            open: IntGauge = gauge("open", "Whether it is open.");
            seconds: HistogramVec = histograms(
                "open_seconds", "How long it was open.", &[0.5, 1.0], &[BY, WHY]);
        }
    }

    #[test]
    fn families_are_listed_and_exposed_as_they_are_declared() {
        let mut registry = MetricRegistry::default();
        let metrics = DoorMetrics::register(&mut registry).expect("registered");
        let listed = |name: &str, kind, labels: &'static [Label], help: &str| RegisteredFamily {
            room: "telemetry/registrar/tests".to_owned(),
            name: name.to_owned(),
            kind,
            labels,
            help: help.to_owned(),
        };
        assert_eq!(
            registry.families(),
            [
                listed("opened_total", FamilyKind::Counter, &[BY], "Times it was opened."),
                listed("open", FamilyKind::Gauge, &[], "Whether it is open."),
                listed("open_seconds", FamilyKind::Histogram, &[BY, WHY], "How long it was open."),
            ]
        );
        metrics.opened.with_label_values(&["hand"]).inc();
        metrics.open.set(1);
        metrics.seconds.with_label_values(&["hand", "air"]).observe(0.7);
        let text = String::from_utf8(registry.expose().expect("exposed")).expect("text");
        for listed in registry.families() {
            let RegisteredFamily { name, kind, help, .. } = listed;
            let head = format!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.as_str());
            assert!(text.contains(&head), "{text}");
        }
        assert!(text.contains("open 1\n"), "{text}");
        assert!(text.contains("opened_total{by=\"hand\"} 1\n"), "{text}");
        assert!(
            text.contains("open_seconds_bucket{by=\"hand\",why=\"air\",le=\"1\"} 1\n"),
            "{text}"
        );
    }

    #[test]
    #[should_panic(expected = "opened_total: by=")]
    fn value_that_no_label_lists_is_found_out() {
        let mut registry = MetricRegistry::default();
        let metrics = DoorMetrics::register(&mut registry).expect("registered");
        metrics.opened.with_label_values(&["foot"]).inc();
        drop(registry.expose());
    }

    #[test]
    fn room_is_the_folder_or_file_beside_which_metrics_are_declared() {
        let mut registry = MetricRegistry::default();
        let mut room = |module: &str| Registrar::new(&mut registry, module).room;
        assert_eq!(room("portcullis::feed::sessions::metrics"), "feed/sessions");
        assert_eq!(room("portcullis::login::metrics"), "login");
    }

    #[test]
    fn name_is_registered_once() {
        let mut registry = MetricRegistry::default();
        drop(DoorMetrics::register(&mut registry).expect("registered"));
        assert!(DoorMetrics::register(&mut registry).is_err());
        assert_eq!(registry.families().len(), 3);
    }
}
