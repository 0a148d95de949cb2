//! Portcullis: an API gateway that enforces authentication at the edge of a fleet.
//!
//! # The life of a request
//!
//! 1. [`edge`] accepts a connection, reads the head of a request within a deadline, and has
//!    [`gate::framing`] read it: what could be understood in two ways goes no further.
//! 2. One of two lanes takes it, and asks [`gate::Gate::decide`]: host,
//!    path and method select a route; the route's policy says what credential is needed; the
//!    credential is verified, admitted and authorized.
//! 3. With a [`gate::policy::Permit`] the request is forwarded: identity headers are stripped,
//!    then set. Without one it is answered from the table in [`gate::denial`].
//! 4. Metrics are counted and a line is logged ([`telemetry`]).
//!
//! # Modules, in reading order
//!
//! [`gate`] decides; [`config`] reads `gateway.yaml`; [`runtime`] makes what runs by it; [`upstream`]
//! reaches others; [`store`] remembers; [`feed`] keeps current; [`web`] is what the built-in
//! endpoints read and write; [`password`] compares; [`session`] shows and ends sessions; [`oauth`]
//! grants tokens; [`login`] logs in; [`endpoints`] says which answers; [`edge`] serves;
//! [`telemetry`] and [`admin`] tell; [`openapi`] describes the admin API; [`issuer`] signs; [`cli`] is
//! the command line. Beside them: [`clock`], [`fetch`], [`network`], [`private_files`], `rate_budget`,
//! [`secret`].

pub mod admin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod edge;
pub mod endpoints;
pub mod feed;
pub mod fetch;
pub mod gate;
pub mod issuer;
pub mod login;
pub mod network;
pub mod oauth;
pub mod openapi;
pub mod password;
pub mod private_files;
pub(crate) mod rate_budget;
pub mod runtime;
pub mod secret;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod web;
