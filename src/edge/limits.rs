//! Limits on how much is served at once: descriptors, requests in flight, and places at an upstream.

pub(super) mod bounds;
pub mod descriptors;
pub(super) mod held_places;
pub mod in_flight;
