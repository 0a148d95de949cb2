//! The life of the process and of its connections: patience, limits, reload, stop.

mod reload;
