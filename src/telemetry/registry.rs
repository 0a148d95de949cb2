//! Registers the metric families of all rooms in one place, lists them, and exposes them.

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, Registry, TextEncoder};

use super::label::Label;

/// The families of all rooms.
#[derive(Debug, Default)]
pub struct MetricRegistry {
    exposed: Registry,
    families: Vec<RegisteredFamily>,
}

/// A family as the reference lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredFamily {
    /// The room that declares it, for example `feed/sessions`.
    pub room: String,
    /// Its name, with its unit.
    pub name: String,
    /// The kind of its values.
    pub kind: FamilyKind,
    /// Its labels.
    pub labels: &'static [Label],
    /// A sentence for readers of the exposition.
    pub help: String,
}

/// The kind of a family's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often something took how long.
    Histogram,
}

impl FamilyKind {
    /// The word after `# TYPE` in the exposition.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl MetricRegistry {
    /// Registers the operating system's metrics of the process.
    ///
    /// # Errors
    ///
    /// If it was registered before.
    pub fn register_resource_usage(&mut self) -> prometheus::Result<()> {
        self.exposed.register(Box::new(ProcessCollector::for_self()))
    }

    /// Our own families, in the order of their registration.
    pub fn families(&self) -> &[RegisteredFamily] {
        &self.families
    }

    /// The exposition (text format 0.0.4), sorted by name.
    ///
    /// # Errors
    ///
    /// If a family cannot be encoded.
    pub fn expose(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(16 * 1024);
        let gathered = self.exposed.gather();
        debug_assert_eq!(self.undeclared(&gathered), None);
        TextEncoder::new().encode(&gathered, &mut text)?;
        Ok(text)
    }

    /// A label value that the reference does not list, which is a defect. Only tests use this.
    fn undeclared(&self, gathered: &[MetricFamily]) -> Option<String> {
        let families = gathered.iter().filter_map(|exposed| {
            let family = self.families.iter().find(|family| family.name == exposed.name())?;
            Some((family, exposed))
        });
        for (RegisteredFamily { name, labels, .. }, exposed) in families {
            for pair in exposed.get_metric().iter().flat_map(|series| series.get_label()) {
                let label = labels.iter().find(|label| label.name == pair.name());
                if !label.is_some_and(|label| label.values.has(pair.value())) {
                    return Some(format!("{name}: {}={:?}", pair.name(), pair.value()));
                }
            }
        }
        None
    }

    pub(super) fn register<C: Collector + Clone + 'static>(
        &mut self,
        room: &str,
        kind: FamilyKind,
        labels: &'static [Label],
        family: C,
    ) -> prometheus::Result<C> {
        self.exposed.register(Box::new(family.clone()))?;
        let listed = family.desc().into_iter().map(|described| RegisteredFamily {
            room: room.to_owned(),
            name: described.fq_name.clone(),
            kind,
            labels,
            help: described.help.clone(),
        });
        self.families.extend(listed);
        Ok(family)
    }
}
