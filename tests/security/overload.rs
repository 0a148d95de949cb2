//! More than can be served at once: what is beyond a bound is refused, and everybody else goes on.

mod body_start;
mod descriptors;
mod in_flight;
mod own;
