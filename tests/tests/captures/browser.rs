//! A real browser, driven as a person would: Chromium without a window, by chromedriver (WebDriver, W3C).
//!
//! Both are programs of Debian's `chromium` and `chromium-driver`; where they are missing tests are skipped visibly.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value as Json, json};

use bus_tests::harness::{Running, is_installed};

/// How a page element is called in WebDriver's answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const ANSWER_DEADLINE: Duration = Duration::from_secs(120);

/// A browser with one page open, gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Browser {
    port: u16,
    session: String,
    _driver: Running,
}

/// What is missing, if a browser cannot be had here.
pub(crate) fn missing_browser() -> Option<&'static str> {
    ["chromium", "chromedriver"].into_iter().find(|program| !is_installed(program))
}

impl Browser {
    /// Starts one whose window has that size, with `directory` for its own files.
    pub(crate) fn start(directory: &Path, (width, height): (u32, u32)) -> Self {
        let driver = Running::start(Command::new("chromedriver").arg("--port=0"));
        let line = driver.prints("started successfully on port ");
        let port = line.rsplit(' ').next().and_then(|word| word.trim_end_matches('.').parse().ok());
        let mut browser =
            Self { port: port.expect("a port"), session: String::new(), _driver: driver };
        let arguments = json!([
            "--headless=new",
            // Tests run as root in containers, where it cannot make its own walls.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--force-device-scale-factor=1",
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", directory.display()),
        ]);
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": arguments },
        } } });
        let answer = browser.ask("POST", "/session", &wanted);
        browser.session = answer["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    /// Opens a file.
    pub(crate) fn open(&self, file: &Path) {
        let url: String = file.to_str().expect("a path in UTF-8").bytes().map(escaped).collect();
        self.tell("/url", &json!({ "url": format!("file://{url}") }));
    }

    /// What JavaScript returns, a promise's value when it is there.
    pub(crate) fn run(&self, script: &str) -> Json {
        let script = format!(
            "const done = arguments[arguments.length - 1];\
             (async () => {{ {script} }})().then(done, (error) => done(`failed: ${{error.stack}}`));"
        );
        self.tell("/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// Runs it until it returns something that is true, and answers that. The page draws in between.
    pub(crate) fn wait_for(&self, script: &str) -> Json {
        self.run(&format!(
            "const end = Date.now() + 20000;\
             for (;;) {{\
               const value = await (async () => {{ {script} }})();\
               if (value) return value;\
               if (Date.now() > end) throw new Error(\"it did not come about\");\
               await new Promise(requestAnimationFrame);\
             }}"
        ))
    }

    /// Clicks at a place of the page.
    pub(crate) fn click_at(&self, x: i64, y: i64) {
        let actions = json!([
            { "type": "pointerMove", "x": x, "y": y },
            { "type": "pointerDown", "button": 0 },
            { "type": "pointerUp", "button": 0 },
        ]);
        let mouse = json!({ "type": "pointer", "id": "mouse", "actions": actions });
        self.tell("/actions", &json!({ "actions": [mouse] }));
    }

    /// Clicks what a CSS selector finds.
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.tell(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into what a CSS selector finds.
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.tell(&format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses a key, wherever the page is.
    pub(crate) fn press(&self, key: &str) {
        let actions =
            json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.tell("/actions", &json!({ "actions": [keyboard] }));
    }

    /// What stands in the browser's console, errors among it.
    pub(crate) fn console(&self) -> Vec<String> {
        let lines = self.tell("/se/log", &json!({ "type": "browser" }));
        let text = |line: &Json| line["message"].as_str().unwrap_or_default().to_owned();
        lines.as_array().into_iter().flatten().map(text).collect()
    }

    fn element(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.tell("/element", &wanted);
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("no {selector}")).to_owned()
    }

    fn tell(&self, path: &str, content: &Json) -> Json {
        self.ask("POST", &format!("/session/{}{path}", self.session), content)
    }

    fn ask(&self, method: &str, path: &str, content: &Json) -> Json {
        let body = self.exchange(method, path, content).expect("an answer of the driver");
        let mut answer: Json = serde_json::from_slice(&body).expect("JSON");
        let value = answer["value"].take();
        assert!(value["error"].is_null(), "{path}: {value}");
        let failed = value.as_str().filter(|text| text.starts_with("failed: "));
        assert!(failed.is_none(), "{path}: {value}");
        value
    }

    fn exchange(&self, method: &str, path: &str, content: &Json) -> io::Result<Vec<u8>> {
        let content = if content.is_null() { String::new() } else { content.to_string() };
        let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
        socket.set_read_timeout(Some(ANSWER_DEADLINE))?;
        let size = content.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {size}\r\nConnection: close\r\n\r\n"
        );
        socket.write_all((head + &content).as_bytes())?;
        body_of(BufReader::new(socket))
    }
}

impl Drop for Browser {
    /// Also where a test has failed: the driver alone would leave its browser behind.
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.exchange("DELETE", &format!("/session/{}", self.session), &Json::Null);
        }
    }
}

/// The body of an HTTP answer, whose length the driver always tells.
fn body_of(mut answer: BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut size = 0;
    loop {
        let mut line = String::new();
        answer.read_line(&mut line)?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            size = value.trim().parse().map_err(io::Error::other)?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; size];
    answer.read_exact(&mut body)?;
    Ok(body)
}

/// A byte of a path as a URL has it.
fn escaped(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    }
}
