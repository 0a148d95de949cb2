//! Logging in, as a browser does it, as a confused client does it, and as an attacker tries it.

mod deliver;
mod forgery;
mod handoff;
mod login_request;
mod page;
mod password_file;
mod redirects;
mod return_to;
mod secrecy;
