//! The commands, as people and scripts use them.

mod admin;
mod check;
mod completions;
mod echo;
mod health;
mod help;
mod init;
mod keys;
mod manual;
mod password;
mod program;
mod revocations;
mod revoke;
mod serve;
mod sessions;
mod signing_keys;
mod token;
