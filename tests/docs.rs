//! What README.md and docs/ tell users to type works as it is printed, and their links lead somewhere.

mod commands;
mod links;
mod pages;
