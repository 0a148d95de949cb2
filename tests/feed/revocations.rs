//! Who is cut off stays out, and what was begun for them ends.

mod clocks;
mod compare_settings;
mod embedded;
mod faults;
mod fleet;
mod lift;
mod lost_roster;
mod outage;
mod restored;
mod servers;
