//! What README.md and docs/ tell users to type works as it is printed, and their links lead somewhere.

mod commands;
mod fragments;
mod links;
mod output;
mod pages;
