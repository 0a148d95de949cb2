//! What the gateway tells about itself: metric families in one table, and the access log.

pub mod access_log;
pub mod audit;
pub mod count;
pub mod families;
pub mod pseudonym;
pub mod routes;
pub mod session_end;
