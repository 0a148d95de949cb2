//! Who is cut off stays out, and what was begun for him ends.

mod agree;
mod api;
mod audit;
mod clocks;
mod command;
mod embedded;
mod faults;
mod fleet;
mod lift;
mod outage;
mod restored;
mod servers;
mod streams;
