//! Counts the configurations that have been in force, and reports which build this is.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec};

use crate::telemetry::label::{RESULT, named};
use crate::telemetry::registrar::metrics;

metrics! {
    /// Metrics of the program and its configurations.
    pub(super) struct ProgramMetrics {
        build_info: IntGaugeVec = gauges(
            "portcullis_build_info",
            "Version of the program, as a label; the value is 1.",
            &[named("version", "version of the program")]);
        reloads: IntCounterVec = counters(
            "portcullis_config_reloads_total",
            "Attempts to load the configuration anew.",
            &[RESULT]);
        pub(super) generation: IntGauge = gauge(
            "portcullis_config_generation",
            "Counts the configurations that have been in force.");
        dangerous: IntGaugeVec = gauges(
            "portcullis_dangerous_options",
            "Options in use whose name starts with `dangerous_`.",
            &[named("option", "name of the option")]);
    }
}

impl ProgramMetrics {
    /// Reports which build this is.
    pub(super) fn begin(&self) {
        self.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    }

    /// Counts an attempt to reload.
    pub(super) fn reloaded(&self, result: &'static str) {
        self.reloads.with_label_values(&[result]).inc();
    }

    /// Counts a configuration that comes into force, and the dangerous options that it uses.
    pub(super) fn publish<'a>(&self, dangerous: impl IntoIterator<Item = &'a str>) {
        self.generation.inc();
        self.dangerous.reset();
        for option in dangerous {
            self.dangerous.with_label_values(&[option]).inc();
        }
    }
}
