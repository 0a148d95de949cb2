//! Renders the login page.

use super::name_and_password::{NAME_BYTES_MAX, PASSWORD_BYTES_MAX};
use super::return_to::ReturnTo;
use super::service::LoginContext;
use crate::config::Login;
use crate::web::form;
use crate::web::message::Answer;
use crate::web::page::{HtmlPage, escape};

/// `GET login`. A place to return to that is not accepted is left out.
pub(crate) fn answer(here: &LoginContext<'_>) -> Answer {
    let query = here.request.head.target.split_once('?').map_or("", |(_, query)| query);
    let pairs = form::parse(query.as_bytes()).unwrap_or_default();
    let mut wanted = pairs.iter().filter(|(name, _)| name == "return_to").map(|(_, value)| value);
    let wanted = wanted.next().filter(|_| wanted.next().is_none());
    let return_to =
        wanted.and_then(|text| ReturnTo::parse(text, here.settings)).unwrap_or_default();
    LoginPage { message: None, name: "", return_to: &return_to }.answer(200, here.settings)
}

/// What the page shows.
pub(super) struct LoginPage<'a> {
    /// What went wrong, if something did.
    pub(super) message: Option<&'a str>,
    /// The name that was typed.
    pub(super) name: &'a str,
    /// Where to go after the login.
    pub(super) return_to: &'a ReturnTo,
}

impl LoginPage<'_> {
    /// The page as an answer.
    pub(super) fn answer(&self, status: u16, login: &Login) -> Answer {
        let title = if self.message.is_some() { "Error: Log in" } else { "Log in" };
        HtmlPage { title, body: &self.body(login) }.answer(status)
    }

    fn body(&self, login: &Login) -> String {
        let Self { message, name, return_to } = self;
        let base = escape(&login.base);
        let (name, return_to) = (escape(name), escape(return_to.as_str()));
        // An error is announced first. Without one, the user can begin to type.
        let (problem, first, described) = match message {
            Some(message) => (
                format!(
                    "<p class=\"problem\" id=\"problem\" role=\"alert\">{}</p>\n",
                    escape(message)
                ),
                "",
                " aria-describedby=\"problem\"",
            ),
            None => (String::new(), " autofocus", ""),
        };
        format!(
            "<h1>Log in</h1>\n{problem}<form method=\"post\" action=\"{base}/login\">\n\
             <p><label for=\"username\">User name</label>\n\
             <input id=\"username\" name=\"username\" type=\"text\" value=\"{name}\" \
             autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" \
             maxlength=\"{NAME_BYTES_MAX}\" required{described}{first}></p>\n\
             <p><label for=\"password\">Password</label>\n\
             <input id=\"password\" name=\"password\" type=\"password\" \
             autocomplete=\"current-password\" maxlength=\"{PASSWORD_BYTES_MAX}\" \
             required{described}></p>\n\
             <input type=\"hidden\" name=\"return_to\" value=\"{return_to}\">\n\
             <p><button type=\"submit\">Log in</button></p>\n\
             </form>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::login::{LoginMethod, Users};
    use crate::store::attempts::AttemptBudget;

    fn login() -> Login {
        let budget = AttemptBudget { attempts_max: 10, span_s: 900 };
        Login {
            base: "/auth".into(),
            issuer: "gateway".into(),
            method: LoginMethod::PasswordFile(Users::default()),
            return_to: vec!["https://app.example".into(), "https://one.example/a".into()],
            per_account: budget,
            per_address: budget,
            successes_per_account: budget,
            successes_per_address: budget,
        }
    }

    fn text(page: &LoginPage<'_>) -> String {
        String::from_utf8(page.answer(200, &login()).body.to_vec()).expect("text")
    }

    #[test]
    fn whatever_was_typed_means_nothing_in_the_page() {
        let name = "\"><script>alert('1')</script>&amp;\0";
        let return_to = ReturnTo::parse("/a?b=\"><script>&c='", &login()).expect("accepted");
        let page = LoginPage { message: Some("<b>no</b>"), name, return_to: &return_to };
        let text = text(&page);
        assert!(!text.contains("<script") && !text.contains("<b>") && !text.contains('\0'));
        assert!(text.contains(
            "value=\"&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;\u{fffd}\""
        ));
        assert!(text.contains("value=\"/a?b=&quot;&gt;&lt;script&gt;&amp;c=&#39;\""));
    }

    #[test]
    fn focus_is_on_the_name_unless_there_is_something_to_say() {
        let return_to = ReturnTo::default();
        let plain = text(&LoginPage { message: None, name: "", return_to: &return_to });
        assert!(plain.contains(" autofocus") && !plain.contains("role=\"alert\""));
        let failed = text(&LoginPage { message: Some("No"), name: "a", return_to: &return_to });
        assert!(!failed.contains(" autofocus"));
        assert!(failed.contains("id=\"problem\" role=\"alert\">No<"));
    }

    #[test]
    fn page_has_nothing_active_and_nothing_from_elsewhere() {
        let return_to = ReturnTo::default();
        let text = text(&LoginPage { message: None, name: "", return_to: &return_to });
        for banned in ["<script", " on", "src=", "href=", "url(", "@import", "style=\"", "//"] {
            assert!(!text.contains(banned), "{banned}");
        }
    }
}
