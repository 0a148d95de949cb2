//! What the gateway reports about itself: the metrics of all rooms, in one registry, and the access
//! log.

pub mod access_log;
pub mod audit;
pub mod count;
pub mod label;
pub mod pseudonym;
pub mod registrar;
pub mod registry;
pub mod routes;
