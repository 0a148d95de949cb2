//! In which lane plain requests are served: `PORTCULLIS_TEST_LANE=pingora` runs the tests through Pingora's.

use std::borrow::Cow;

/// A configuration that says so, unless it says something of lanes itself.
pub(super) fn told(configuration: &str) -> Cow<'_, str> {
    match std::env::var("PORTCULLIS_TEST_LANE") {
        Err(_) => configuration.into(),
        Ok(_) if configuration.contains(" lane: ") => configuration.into(),
        Ok(lane) if configuration.contains("server: {") => {
            configuration.replacen("server: {", &format!("server: {{ lane: {lane},"), 1).into()
        }
        Ok(lane) => format!("server: {{ lane: {lane} }}\n{configuration}").into(),
    }
}
