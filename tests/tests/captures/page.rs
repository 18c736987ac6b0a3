//! The page of a trace in a real browser.

use std::net::TcpListener;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bus_tests::harness::Folder;
use bus_tools::capture::Writer;
use libbus::names::{BusName, ErrorName, InterfaceName, MemberName, ObjectPath};
use libbus::wire::{Header, MessageType, Signature, write_message};
use serde_json::{Value as Json, json};

use crate::browser::Browser;
use crate::scene::bus;
use crate::traced::pcap;

/// Texts that would run, or end what they stand in, if somebody took them for markup or script.
const HOSTILE: &[&str] = &[
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror=\"window.hacked = 2\">",
    "<!--<script>",
    "]]></style><svg onload=\"window.hacked = 3\">",
    "\"; window.hacked = 4; //",
    "${window.hacked = 5}`+window.hacked+`",
    "\u{2028}window.hacked = 6\u{2029}",
    "<iframe src=\"javascript:parent.hacked = 7\"></iframe>",
    "&lt;img src=x onerror=window.hacked=8&gt;",
    "<base href=\"http://127.0.0.1/\"><link rel=stylesheet href=x><meta http-equiv=refresh content=0>",
];

fn hostile_capture() -> Vec<u8> {
    let mut writer = Writer::pcap(Vec::new(), None).unwrap();
    for (number, text) in HOSTILE.iter().enumerate() {
        for (index, message_type) in
            [MessageType::MethodCall, MessageType::Error, MessageType::Signal]
                .into_iter()
                .enumerate()
        {
            let serial = NonZeroU32::new(number as u32 + 1).unwrap();
            let mut header = Header::new(message_type, serial);
            header.path = Some(ObjectPath::from_static("/constructor/__proto__"));
            header.interface = Some(InterfaceName::from_static("__proto__.constructor"));
            header.member = Some(MemberName::from_static("__proto__"));
            header.error_name = Some(ErrorName::from_static("org.example.constructor"));
            header.sender = Some(BusName::from_static(":1.5"));
            header.destination = Some(BusName::from_static("org.example.__proto__"));
            if message_type != MessageType::MethodCall {
                header.sender = Some(BusName::from_static(":1.6"));
                header.destination = Some(BusName::from_static(":1.5"));
                header.reply_serial = Some(serial);
            }
            header.signature = Signature::from_static("sa{sv}");
            let mut bytes = Vec::new();
            write_message(&header, &mut bytes, |body| {
                body.string(text);
                body.dict(|body| {
                    body.dict_entry(|body| {
                        body.string(text);
                        body.variant(Signature::from_static("s"), |body| body.string(text));
                    });
                });
            });
            let time = Duration::from_millis(1000 + 100 * number as u64 + index as u64);
            writer.write(time, &bytes).unwrap();
        }
    }
    writer.into_inner()
}

/// The page of a capture, open in a browser.
fn opened(folder: &Folder, capture: &Path) -> Browser {
    let page: PathBuf = folder.join("page.html");
    bus(&["trace", capture.to_str().unwrap(), "-o", page.to_str().unwrap()], b"");
    let browser = Browser::start(&folder.join("profile"), (1440, 900));
    browser.open(&page);
    browser
}

/// Each message chosen in each view, and all that can be clicked of it: nothing runs, nothing is fetched, and the
/// page has not one element that it does not make itself.
pub(crate) fn hostile() {
    let folder = Folder::new();
    let name = "<img src=x onerror=window.hacked=9>.pcap";
    let whole = hostile_capture();
    // Damaged as well, so that the place is told on the page.
    let capture = folder.write(name, &whole[..whole.len() - 3]);
    let browser = opened(&folder, &capture);
    let count = browser.run("return count;").as_u64().unwrap();
    assert_eq!(count, HOSTILE.len() as u64 * 3 - 1);
    let seen = browser.run(
        "for (const view of [\"sequence\", \"timeline\", \"talkers\", \"table\", \"methods\"]) {\
           setView(view);\
           for (let index = 0; index < count; index++) {\
             choose(index);\
             await new Promise(requestAnimationFrame);\
           }\
         }\
         return document.body.textContent;",
    );
    let seen = seen.as_str().unwrap();
    assert!(seen.contains(name), "the file's name is a text");
    assert!(seen.contains("The capture is damaged at byte"));
    for text in HOSTILE {
        browser.run("clearFilters(); setView(\"table\");");
        browser.run(&format!("state.text = {}; applyFilters();", json!(text.trim())));
    }
    let details = browser.run("choose(0); return details.textContent;");
    assert!(details.as_str().unwrap().contains("</script><script>window.hacked = 1</script>"));

    let found = browser.run(
        "return [window.hacked ?? null, document.scripts.length,\
           document.querySelectorAll(\"img, iframe, object, embed, link, base, svg, [onerror], [onload], [src], [href]\").length,\
           performance.getEntriesByType(\"resource\").length, Object.prototype.hacked ?? null];",
    );
    assert_eq!(found, json!([null, 2, 0, 0, null]));
    assert_eq!(browser.console(), [""; 0], "no error, and nothing that the policy had to refuse");
    nothing_is_sent(&browser);
}

/// Also what would run could not send anything, load anything or run more.
fn nothing_is_sent(browser: &Browser) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let tried = browser.run(&format!(
        "const url = {};\
         const fetched = await fetch(url, {{ mode: \"no-cors\" }}).then(() => \"fetched\", () => \"refused\");\
         const image = await new Promise((done) => {{\
           const image = new Image(); image.onload = () => done(\"loaded\"); image.onerror = () => done(\"refused\"); image.src = url;\
         }});\
         const script = document.createElement(\"script\");\
         script.textContent = \"window.hacked = 10\";\
         document.body.append(script);\
         return [fetched, image, window.hacked ?? null];",
        json!(url)
    ));
    assert_eq!(tried, json!(["refused", "refused", null]));
    assert!(listener.accept().is_err(), "somebody connected");
}

fn text_of(browser: &Browser, id: &str) -> String {
    let text = browser.run(&format!("return document.getElementById({}).textContent;", json!(id)));
    text.as_str().unwrap_or_default().to_owned()
}

/// What a person does: clicks an arrow, goes to its reply, filters, changes the view, clears.
pub(crate) fn used() {
    let folder = Folder::new();
    let capture = folder.write("desktop.pcap", pcap(600));
    let browser = opened(&folder, &capture);
    browser.wait_for("return document.getElementById(\"count\").textContent === \"600 messages\";");

    // The first call, by its arrow.
    let place = browser.run(
        "await new Promise(requestAnimationFrame);\
         const index = kinds.indexOf(CALL);\
         const box = sequenceScroller.box.getBoundingClientRect();\
         return [box.left + 200, box.top + rowY(placeOf[index], sequenceScroller.view) + ROW / 2, index, memberOf(index)];",
    );
    let [x, y] = [0, 1].map(|index: usize| place[index].as_f64().unwrap() as i64);
    browser.click_at(x, y);
    assert_eq!(browser.run("return state.chosen;"), place[2]);
    let details = text_of(&browser, "details");
    assert!(details.contains(place[3].as_str().unwrap()), "{details}");
    assert!(details.contains("a{sv}") && details.contains("\"Percentage\": d "), "{details}");
    assert!(details.contains("Reply #"), "its reply is shown with it: {details}");

    // To the reply and back, by the keyboard.
    browser.press("r");
    assert_eq!(browser.run("return callOf[state.chosen];"), place[2]);
    browser.press("r");
    assert_eq!(browser.run("return state.chosen;"), place[2]);
    browser.press("\u{e015}");
    assert_eq!(
        browser.run("return state.chosen;").as_u64(),
        place[2].as_u64().map(|index| index + 1)
    );

    // Filters, each against what the data says.
    browser.type_into("#member", "RequestScan");
    let scans = browser.wait_for("return shown.length < count && shown.length;");
    let expected = browser.run(
        "let found = 0; for (let index = 0; index < count; index++) found += memberOf(index) === \"RequestScan\"; return found;",
    );
    assert_eq!(scans, expected);
    assert_eq!(text_of(&browser, "count"), format!("{scans} of 600 messages"));
    browser.click("#clear");
    assert_eq!(text_of(&browser, "count"), "600 messages");
    browser.click("#errors");
    browser.wait_for("return shown.length > 0 && shown.length < count;");
    let is_right = "return shown.every((index) => isError(index) || isError(answerOf[index]));";
    assert_eq!(browser.run(is_right), Json::Bool(true));
    browser.click("#clear");
    browser.type_into("#slower", "20");
    browser.wait_for("return shown.length > 0 && shown.length < count;");
    let is_right = "return shown.every((index) => latency[index] > 20000);";
    assert_eq!(browser.run(is_right), Json::Bool(true));
    browser.click("#clear");
    browser.type_into("#text", "not allowed to do that");
    browser.wait_for("return shown.length > 0 && shown.length < count;");
    assert_eq!(browser.run("return shown.every(isError);"), Json::Bool(true), "found in values");
    browser.click("#clear");

    // From a number in the table of who talks to whom to those messages.
    browser.click("[data-view=talkers]");
    browser.wait_for("return document.querySelector(\".matrix td button\");");
    let wanted = browser.run("return document.querySelector(\".matrix td button\").textContent;");
    browser.click(".matrix td button");
    assert_eq!(browser.run("return state.view;"), "sequence");
    let pair = "return shown.filter((index) => from[index] === state.from && to[index] === state.to).length;";
    assert_eq!(browser.run(pair).to_string(), wanted.as_str().unwrap());
    browser.click("#clear");

    // A bar of the timeline, and a row of the table.
    browser.click("[data-view=timeline]");
    let bar = browser.wait_for(
        "const bar = timeline.boxes.find((bar) => kinds[bar[4]] === CALL && bar[2] > 6);\
         if (!bar) return null;\
         const box = timelineScroller.box.getBoundingClientRect();\
         return [box.left + bar[0] + bar[2] / 2, box.top + bar[1] + bar[3] / 2, bar[4]];",
    );
    let [x, y] = [0, 1].map(|index: usize| bar[index].as_f64().unwrap() as i64);
    browser.click_at(x, y);
    assert_eq!(browser.run("return state.chosen;"), bar[2]);
    browser.press("4");
    browser.wait_for("return document.querySelector(\".row.chosen\");");
    browser.press("\u{e012}");
    browser.click("#theme");
    assert_eq!(browser.console(), [""; 0], "no error");
}

/// The last of so many can be seen and clicked in both views that have rows.
pub(crate) fn large() {
    let folder = Folder::new();
    let capture = folder.write("large.pcap", pcap(100_000));
    let browser = opened(&folder, &capture);
    browser.wait_for("return shown.length === 100000;");
    browser.run("sequenceScroller.box.scrollTop = 1e9; await new Promise(requestAnimationFrame);");
    let place = browser.run(
        "const box = sequenceScroller.box.getBoundingClientRect();\
         return [box.left + 200, box.top + rowY(99999, sequenceScroller.view) + ROW / 2];",
    );
    let [x, y] = [0, 1].map(|index: usize| place[index].as_f64().unwrap() as i64);
    browser.click_at(x, y);
    assert_eq!(browser.run("return state.chosen;"), 99_999);
    browser.press("4");
    let row = browser.wait_for("return document.querySelector(\".row.chosen\")?.textContent;");
    assert!(row.as_str().unwrap().starts_with("100,000"), "{row}");
    let rows = browser.run("return document.querySelectorAll(\".row\").length;");
    assert!(rows.as_u64().unwrap() < 100, "only what is seen is there: {rows}");
}
