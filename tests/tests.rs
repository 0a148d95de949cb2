//! Drives the real program over real sockets.

mod admin;
mod admin_api;
mod browser;
mod cli;
mod config;
mod docs;
mod edge;
mod endpoints;
mod feed;
mod gate;
mod harness;
mod interop;
mod issuer;
mod login;
mod oauth;
mod password;
mod reference;
mod runtime;
mod security;
mod session;
mod simulation;
mod store;
mod telemetry;
mod tidy;
mod upstream;
