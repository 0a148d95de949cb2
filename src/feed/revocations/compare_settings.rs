//! Reports where the settings of other gateways differ from ours.

use super::RevocationFeed;
use super::setting_differences::{Difference, differences, settings};
use crate::store::KnownGateway;

impl RevocationFeed {
    /// Reports where the settings of other gateways differ from ours, once for each difference.
    pub(super) fn compare(&self, gateways: &[KnownGateway]) {
        let ours = settings(&self.configuration.load());
        let others = gateways.iter().filter(|known| known.state.instance != self.instance);
        let found = others.flat_map(|known| differences(&ours, known)).collect();
        for Difference { gateway, field, here, there } in
            self.reported_differences.not_reported(found)
        {
            tracing::warn!(
                gateway,
                field,
                here,
                there,
                "another gateway at this store has another setting: what one of them issues or \
                 begins lives for another time at the other"
            );
        }
    }

    /// The fields in which a gateway differs from this one.
    pub fn differs_in(&self, known: &KnownGateway) -> Vec<String> {
        let ours = settings(&self.configuration.load());
        differences(&ours, known).map(|difference| difference.field).collect()
    }
}
