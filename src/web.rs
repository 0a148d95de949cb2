//! Reads requests of the built-in endpoints and builds their responses: forms, pages, cookies.

pub(crate) mod answers;
pub(crate) mod context;
pub(crate) mod date;
pub(crate) mod form;
pub mod message;
pub(crate) mod page;
pub mod refresh_cookie;
