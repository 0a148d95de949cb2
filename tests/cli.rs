//! The commands, as people and scripts use them.

mod admin;
mod check;
mod echo;
mod health;
mod help;
mod keys;
mod password;
mod program;
mod revocations;
mod revoke;
mod serve;
mod sessions;
mod signing_keys;
mod token;
