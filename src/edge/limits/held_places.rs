//! The place of one request among all that are being served, and among those of its upstream.

use std::net::IpAddr;
use std::sync::Arc;

use super::in_flight::{InFlightBound, InFlightGuard, Most, overloaded};
use crate::edge::publication::Published;
use crate::gate::denial::Denial;
use crate::upstream::{AtUpstream, Upstream};

/// What a request has taken; given back when it is dropped.
#[derive(Debug, Default)]
pub(in crate::edge) struct HeldPlaces {
    counted: Option<InFlightGuard>,
    at_upstream: Option<AtUpstream>,
}

impl HeldPlaces {
    /// Counts a request to an upstream, if there is room for it and it is not counted yet.
    ///
    /// # Errors
    ///
    /// [`Overloaded`](crate::gate::denial::Slug::Overloaded), naming the bound; so do the others.
    pub(in crate::edge) fn enter(
        &mut self,
        published: &Published,
        client: Option<IpAddr>,
    ) -> Result<(), Denial> {
        if self.counted.is_some() {
            return Ok(());
        }
        let Published { bounds, in_flight, .. } = published;
        let most = Most {
            of_all: InFlightBound { max: bounds.in_flight_max, source: "limits.in_flight" },
            of_client: InFlightBound {
                max: bounds.in_flight_per_client_max,
                source: "limits.in_flight_per_client",
            },
        };
        self.counted = Some(in_flight.proxied.enter(client, most)?);
        Ok(())
    }

    /// Counts a request to the gateway itself. Logins and tokens leave a quarter of the places to
    /// all others, logouts above all.
    pub(in crate::edge) fn enter_own(
        &mut self,
        published: &Published,
        client: Option<IpAddr>,
        asks_for_login_or_token: bool,
    ) -> Result<(), Denial> {
        let Published { bounds, in_flight, .. } = published;
        let bound = |max: usize, [whole, part]: [&'static str; 2]| {
            if asks_for_login_or_token {
                InFlightBound { max: max - max / 4, source: part }
            } else {
                InFlightBound { max, source: whole }
            }
        };
        let of_all = ["limits.in_flight_own", "three quarters of limits.in_flight_own"];
        let of_client = [
            "its share of limits.in_flight_own",
            "three quarters of its share of limits.in_flight_own",
        ];
        let most = Most {
            of_all: bound(bounds.own_max, of_all),
            of_client: bound(bounds.own_per_client_max, of_client),
        };
        self.counted = Some(in_flight.own.enter(client, most)?);
        Ok(())
    }

    /// Counts a request among those of its upstream.
    pub(in crate::edge) fn enter_upstream(
        &mut self,
        published: &Published,
        upstream: &Arc<Upstream>,
    ) -> Result<(), Denial> {
        let settings = upstream.settings();
        let max = settings.in_flight_max.unwrap_or(published.bounds.in_flight_per_upstream_max);
        let refused = || {
            let name = &settings.name;
            overloaded(format!("{max} of this upstream (upstreams.{name}.limits.in_flight)"))
        };
        self.at_upstream = Some(upstream.enter(max).ok_or_else(refused)?);
        Ok(())
    }
}
