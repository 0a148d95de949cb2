//! Renders `GET sessions` for a person: where they are logged in, with buttons to log out there.

use std::fmt::Write;

use crate::gate::session::{SessionId, StoredSession};
use crate::session::service::SessionContext;
use crate::web::date::instant;
use crate::web::message::{Answer, Caller};
use crate::web::page::{HtmlPage, escape};

/// The page as an answer.
pub(super) fn answer<'s>(
    here: &SessionContext<'_>,
    caller: &Caller,
    sessions: impl Iterator<Item = &'s (SessionId, StoredSession)>,
) -> Answer {
    let base = escape(&here.settings.base);
    let subject = escape(caller.session.authentic().subject().as_str());
    let mut rows = String::new();
    for (id, StoredSession { record, last_seen }) in sessions {
        let last_seen = match *id == caller.session.id() {
            true => "now, here".to_owned(),
            false => instant(*last_seen),
        };
        let login = record.login().cloned().unwrap_or_default();
        let (created, address) = (instant(record.created), escape(&login.address));
        let user_agent = escape(&login.user_agent);
        // Writing to a String does not fail.
        let _ = writeln!(
            rows,
            "<tr><td>{created}</td><td>{last_seen}</td><td>{address}</td><td>{user_agent}</td></tr>"
        );
    }
    let body = format!(
        "<h1>Your sessions</h1>\n<p>You are logged in as <strong>{subject}</strong>.</p>\n\
         <div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Since</th>\
         <th scope=\"col\">Last used</th><th scope=\"col\">From</th>\
         <th scope=\"col\">With</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n\
         <form method=\"post\" action=\"{base}/logout\">\n\
         <p><button type=\"submit\">Log out</button></p>\n</form>\n\
         <form method=\"post\" action=\"{base}/logout-everywhere\">\n\
         <p><button type=\"submit\" class=\"second\">Log out everywhere</button></p>\n</form>\n"
    );
    HtmlPage { title: "Your sessions", body: &body }.answer(200)
}
