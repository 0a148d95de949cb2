//! Sessions in memory: read once, dropped when the store says that they changed, believed for as long as that can be known.

mod changes;
mod idle;
mod memory;
mod outage;
mod servers;
