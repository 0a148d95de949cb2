//! A real browser: headless Chromium, driven through chromedriver (W3C WebDriver) as a user would.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{self, Answer, Connection};

/// How long a browser may take for anything, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many browsers may run at a time.
const BROWSERS_MAX: usize = 2;

/// How often chromedriver is started until it has a port.
const DRIVER_TRIES: usize = 10;

/// The name under which references to elements travel (WebDriver §12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that are not letters (WebDriver §17.4.2).
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";

/// Another site's host: [`Browser`] finds it on this machine, too.
pub(crate) const OTHER: &str = "other.test";

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// Leave to run some browsers. Whoever needs two asks for both at once.
pub(crate) struct BrowserSlots(usize);

impl BrowserSlots {
    pub(crate) fn to_run(browsers: usize) -> Self {
        assert!(browsers <= BROWSERS_MAX);
        let mut running = running();
        while *running + browsers > BROWSERS_MAX {
            running = ENDED.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running += browsers;
        Self(browsers)
    }
}

impl Drop for BrowserSlots {
    fn drop(&mut self) {
        *running() -= self.0;
        ENDED.notify_all();
    }
}

fn running() -> MutexGuard<'static, usize> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a browser is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    Usual,
    /// Pages may not run scripts. Ours may, through [`Browser::run`].
    WithoutJavaScript,
    /// Any certificate will do.
    InsecureCertificates,
}

/// A browser with a profile of its own.
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    /// The browser itself.
    pid: Option<u64>,
    _profile: TempDir,
}

/// Something on a page.
#[derive(Clone, Debug)]
pub(crate) struct Element(String);

impl Browser {
    /// Starts one. It may run for as long as its test has leave.
    pub(crate) fn start(_: &BrowserSlots, setup: Setup) -> Self {
        let profile = tempfile::tempdir().expect("a directory");
        let (driver, address) = driver();
        let mut browser =
            Self { driver, address, session: String::new(), pid: None, _profile: profile };
        let directory = browser._profile.path().display();
        let mut options = json!({
            "binary": chromium(),
            "args": [
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--no-proxy-server",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-features=PasswordLeakDetection",
                "--password-store=basic",
                format!("--host-resolver-rules=MAP {OTHER} 127.0.0.1"),
                format!("--user-data-dir={directory}"),
            ],
        });
        if setup == Setup::WithoutJavaScript {
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": setup == Setup::InsecureCertificates,
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let begun = browser.ask("POST", "/session", Some(&capabilities));
        browser.session = text(&begun["sessionId"]);
        browser.pid = begun["capabilities"]["goog:processID"].as_u64();
        browser
    }

    /// Goes somewhere, as if its address had been typed, and waits until the page is there.
    pub(crate) fn open(&self, url: &str) {
        self.command("POST", "/url", Some(&json!({ "url": url })));
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        text(&self.command("GET", "/url", None))
    }

    /// Waits until it is there.
    #[track_caller]
    pub(crate) fn await_url(&self, url: &str) {
        self.eventually(&format!("{url}, and is at {}", self.url()), || {
            (self.url() == url).then_some(())
        });
    }

    pub(crate) fn back(&self) {
        self.command("POST", "/back", Some(&json!({})));
    }

    pub(crate) fn reload(&self) {
        self.command("POST", "/refresh", Some(&json!({})));
    }

    pub(crate) fn title(&self) -> String {
        text(&self.command("GET", "/title", None))
    }

    /// What can be read on the page; nothing while there is none.
    pub(crate) fn page(&self) -> String {
        let body = self.try_find("body");
        body.and_then(|body| self.try_text(&body)).unwrap_or_default()
    }

    /// The first element of a CSS selector, for which it waits.
    #[track_caller]
    pub(crate) fn find(&self, selector: &str) -> Element {
        self.eventually(selector, || self.try_find(selector))
    }

    pub(crate) fn try_find(&self, selector: &str) -> Option<Element> {
        let body = json!({ "using": "css selector", "value": selector });
        let found = self.try_command("POST", "/element", Some(&body)).ok()?;
        Some(Element(text(&found[ELEMENT])))
    }

    /// The element with the focus.
    pub(crate) fn focused(&self) -> Element {
        Element(text(&self.command("GET", "/element/active", None)[ELEMENT]))
    }

    pub(crate) fn click(&self, element: &Element) {
        self.command("POST", &format!("/element/{}/click", element.0), Some(&json!({})));
    }

    /// Types into an element.
    pub(crate) fn type_into(&self, element: &Element, keys: &str) {
        let body = json!({ "text": keys });
        self.command("POST", &format!("/element/{}/value", element.0), Some(&body));
    }

    /// Presses keys, wherever the focus is.
    pub(crate) fn press(&self, keys: &str) {
        let actions = keys.chars().flat_map(|key| {
            let key = key.to_string();
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        });
        let actions: Vec<_> = actions.collect();
        let body = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] });
        self.command("POST", "/actions", Some(&body));
    }

    /// The name by which assistive technology announces an element.
    pub(crate) fn announced(&self, element: &Element) -> String {
        text(&self.command("GET", &format!("/element/{}/computedlabel", element.0), None))
    }

    /// A property of an element, as scripts see it.
    pub(crate) fn property(&self, element: &Element, name: &str) -> Value {
        self.command("GET", &format!("/element/{}/property/{name}", element.0), None)
    }

    /// Runs a script's body in the page and returns what it returns, or what its promise does.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.command("POST", "/execute/sync", Some(&json!({ "script": script, "args": [] })))
    }

    /// Opens another tab and goes on there; the handle of the one before, and of the new one.
    pub(crate) fn open_tab(&self) -> (String, String) {
        let old = text(&self.command("GET", "/window", None));
        let new = self.command("POST", "/window/new", Some(&json!({ "type": "tab" })));
        let new = text(&new["handle"]);
        self.go_to_tab(&new);
        (old, new)
    }

    pub(crate) fn go_to_tab(&self, handle: &str) {
        self.command("POST", "/window", Some(&json!({ "handle": handle })));
    }

    /// Makes its window so large, in pixels.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Its user likes it dark.
    pub(crate) fn prefer_dark(&self) {
        let dark = json!([{ "name": "prefers-color-scheme", "value": "dark" }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": dark }));
    }

    /// What WebDriver cannot do, the browser's own protocol can.
    fn devtools(&self, command: &str, parameters: &Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.command("POST", "/goog/cdp/execute", Some(&body));
    }

    /// The cookies for where it is, `HttpOnly` ones too.
    pub(crate) fn cookies(&self) -> Vec<Value> {
        let cookies = self.command("GET", "/cookie", None);
        cookies.as_array().cloned().expect("cookies")
    }

    /// What the console has shown since it was last asked for.
    pub(crate) fn console(&self) -> Vec<String> {
        let body = json!({ "type": "browser" });
        let entries = self.command("POST", "/se/log", Some(&body));
        let entries = entries.as_array().expect("entries").iter();
        entries.map(|entry| text(&entry["message"])).collect()
    }

    /// Waits for something in the browser.
    #[track_caller]
    pub(crate) fn eventually<T>(&self, what: &str, mut is: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(value) = is() {
                return value;
            }
            if begun.elapsed() > PATIENCE {
                let (url, page, console) = (self.url(), self.page(), self.console());
                panic!("waited in vain for {what}; at {url}:\n{page}\n{console:#?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn try_text(&self, element: &Element) -> Option<String> {
        let text = self.try_command("GET", &format!("/element/{}/text", element.0), None).ok()?;
        text.as_str().map(str::to_owned)
    }

    /// What a command returns, which must not fail.
    #[track_caller]
    fn command(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let done = self.try_command(method, path, body);
        done.unwrap_or_else(|error| panic!("{method} {path} {body:?}: {error}"))
    }

    fn try_command(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Value> {
        let path = format!("/session/{}{path}", self.session);
        let answer = self.send(method, &path, body);
        let value = answer.json()["value"].take();
        if answer.status == 200 { Ok(value) } else { Err(value) }
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.send(method, path, body);
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        answer.json()["value"].take()
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let stream = TcpStream::connect(self.address).expect("chromedriver accepts");
        let settings = stream.try_clone().expect("a socket");
        let mut connection = Connection::over(stream);
        settings.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let host = self.address.to_string();
        let fields = [("Host", &*host), ("Content-Type", "application/json")];
        let body = body.map(Value::to_string).unwrap_or_default();
        connection.exchange(client::request(method, path, &fields, &body))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A test that fails must not leave a browser behind, whatever else does not work.
        if !self.session.is_empty() {
            let path = format!("/session/{}", self.session);
            let quit = || self.send("DELETE", &path, None);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(quit));
        }
        if let Some(pid) = self.pid {
            let _ = Command::new("kill")
                .args(["-s", "KILL", &pid.to_string()])
                .stderr(Stdio::null())
                .status();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// A running chromedriver, and where it listens.
fn driver() -> (Child, SocketAddr) {
    // The port that it finds for one version of IP may be taken for the other: then it gives up.
    for _ in 0..DRIVER_TRIES {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver runs: scripts/install.sh test");
        if let Some(address) = address_of(&mut driver) {
            return (driver, address);
        }
        let _ = driver.wait();
    }
    panic!("chromedriver does not tell its port");
}

/// Where chromedriver listens, as it says itself; `None` if it ends without a word of that.
fn address_of(driver: &mut Child) -> Option<SocketAddr> {
    let mut lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let port = line.split("successfully on port ").nth(1)?;
        port.trim_end_matches('.').parse::<u16>().ok()
    });
    // Whatever else it says is read and dropped, so that it can go on saying it.
    std::thread::spawn(move || lines.for_each(drop));
    port.map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
}

/// The browser, as the path has it.
fn chromium() -> String {
    let path = std::env::var_os("PATH").expect("a path");
    let found = std::env::split_paths(&path)
        .flat_map(|directory| ["chromium", "chromium-browser"].map(|name| directory.join(name)))
        .find(|program| program.is_file());
    found.expect("chromium is installed: scripts/install.sh test").display().to_string()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}
