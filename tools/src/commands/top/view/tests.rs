use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Looks, draw};
use crate::commands::top::column::Column;
use crate::commands::top::detail::{Detail, Limit};
use crate::commands::top::picture::Picture;
use crate::commands::top::picture::tests::{client, samples};
use crate::commands::top::sample::{Client, Sample};
use crate::commands::top::state::{Action, State, View};

fn picture() -> Picture {
    let mut busy = client(":1.2", "org.example.Busy", 2000, 40);
    (busy.pid, busy.process) = (Some(77), Some("busyd".to_owned()));
    busy.usage.owed = Some(3);
    busy.usage.oldest_owed_ms = Some(12_345);
    let mut slow = client(":1.10", "org.example.Slow", 0, 100);
    slow.usage.queue = Some(300 << 10);
    slow.usage.quota = Some(911);
    slow.usage.is_slow = Some(true);
    slow.process = Some("evil\u{1b}[2J".to_owned());
    let none = vec![client(":1.2", "", 0, 0), client(":1.10", "", 0, 0)];
    let [before, now] = samples(none, vec![busy, slow]);
    Picture::new(Some(&before), &now)
}

fn screen(
    state: &mut State,
    picture: Option<&Picture>,
    width: u16,
    detail: Option<&Detail>,
) -> Vec<String> {
    let looks = Looks { title: "the session bus".to_owned(), has_colors: true };
    let mut terminal = Terminal::new(TestBackend::new(width, 12)).unwrap();
    terminal.draw(|frame| draw(frame, state, picture, detail, &looks)).unwrap();
    let buffer = terminal.backend().buffer();
    let cell = |x, y| buffer.cell((x, y)).unwrap().symbol();
    let line = |y| (0..width).map(|x| cell(x, y)).collect::<String>().trim_end().to_owned();
    (0..12).map(line).collect()
}

fn press(state: &mut State, picture: &Picture, keys: &[KeyCode]) {
    for key in keys {
        let key = KeyEvent::new(*key, KeyModifiers::NONE);
        assert_eq!(state.handle_key(key, Some(picture)), Action::Nothing);
    }
}

fn started() -> (State, Picture) {
    let picture = picture();
    let mut state = State::new(Column::Bytes, String::new());
    state.follow(&picture);
    (state, picture)
}

fn lines_with<'a>(screen: &'a [String], text: &str) -> Vec<&'a String> {
    screen.iter().filter(|line| line.contains(text)).collect()
}

#[test]
fn the_table_shows_all_columns_where_there_is_room() {
    let (mut state, picture) = started();
    let shown = screen(&mut state, Some(&picture), 140, None);
    let expected = [
        "the session bus  2 clients  4 names",
        "200 messages/s  200 KiB/s  300 KiB queued  0 calls wait  4.0 MiB of memory",
        "",
        "CLIENT    SENT/s   GOT/s BYTES/s↓  QUEUE  QUOTA  WAITS   OWES  OLDEST STATE     USER     PROCESS         NAME",
        ":1.2        1.0k      20      10K      0     0%      0      3   12.3s           alice    busyd           org.example.Busy",
        ":1.10          0      50      500   300K    91%      0      0       - slow      alice    evil\\033[2J     org.example.Slow",
    ];
    assert_eq!(shown[..6], expected, "{}", shown.join("\n"));
    assert!(shown[11].starts_with("? keys"), "{}", shown[11]);
    assert_eq!(
        screen(&mut State::new(Column::Bytes, String::new()), None, 80, None)[1],
        "asking …"
    );
}

#[test]
fn a_narrow_screen_leaves_out_what_is_needed_least() {
    let (mut state, picture) = started();
    let shown = screen(&mut state, Some(&picture), 80, None);
    let titles: Vec<&str> = shown[3].split_whitespace().collect();
    let expected =
        ["CLIENT", "SENT/s", "GOT/s", "BYTES/s↓", "QUEUE", "WAITS", "OWES", "STATE", "NAME"];
    assert_eq!(titles, expected);
    assert!(shown[5].ends_with(" org.example.Slo"), "cut off: {}", shown[5]);
}

#[test]
fn keys_sort_and_the_chosen_client_stays_chosen() {
    let (mut state, picture) = started();
    assert_eq!(state.chosen.as_deref(), Some(":1.2"));
    press(&mut state, &picture, &[KeyCode::Right]);
    assert_eq!((state.sort, state.chosen.as_deref()), (Column::Queue, Some(":1.2")));
    assert_eq!(state.table.selected(), Some(1));
    press(&mut state, &picture, &[KeyCode::Char('5')]);
    assert!(state.is_reversed && state.table.selected() == Some(0));
    press(&mut state, &picture, &[KeyCode::Char('0')]);
    assert_eq!((state.sort, state.is_reversed), (Column::State, false));
    press(&mut state, &picture, &[KeyCode::Char('1'), KeyCode::Left]);
    assert_eq!(state.sort, Column::Name, "around");
    press(&mut state, &picture, &[KeyCode::Char('1'), KeyCode::End, KeyCode::Down]);
    assert_eq!(state.chosen.as_deref(), Some(":1.10"));
    press(&mut state, &picture, &[KeyCode::PageUp]);
    assert_eq!(state.chosen.as_deref(), Some(":1.2"));
    // Who has gone leaves its place.
    let gone = Picture { rows: picture.rows[1..].to_vec(), ..picture };
    state.follow(&gone);
    assert_eq!(state.chosen.as_deref(), Some(":1.10"));
    state.follow(&Picture { rows: Vec::new(), ..gone });
    assert_eq!((state.chosen, state.table.selected()), (None, None));
}

#[test]
fn a_filter_is_typed_and_taken_back() {
    let (mut state, picture) = started();
    let keys = [KeyCode::Char('/'), KeyCode::Char('s'), KeyCode::Char('q'), KeyCode::Backspace];
    press(&mut state, &picture, &keys);
    press(&mut state, &picture, &[KeyCode::Char('l')]);
    let shown = screen(&mut state, Some(&picture), 100, None);
    assert_eq!(shown[11], "/sl_");
    assert_eq!(lines_with(&shown, "org.example").len(), 1);
    press(&mut state, &picture, &[KeyCode::Enter]);
    let shown = screen(&mut state, Some(&picture), 100, None);
    assert_eq!(shown[2], "only with \"sl\": 1 of 2");
    press(&mut state, &picture, &[KeyCode::Char('/'), KeyCode::Char('x'), KeyCode::Esc]);
    assert_eq!(state.filter, "sl", "what was typed is given up");
    press(&mut state, &picture, &[KeyCode::Esc]);
    assert_eq!(state.filter, "");
    let long = vec![KeyCode::Char('x'); 1000];
    press(&mut state, &picture, &[KeyCode::Char('/')]);
    press(&mut state, &picture, &long);
    assert_eq!(state.filter.len(), 100);
}

#[test]
fn the_details_of_a_client_are_on_a_screen_of_their_own() {
    let (mut state, picture) = started();
    press(&mut state, &picture, &[KeyCode::Enter]);
    assert_eq!(state.looked_at(), Some(":1.2"));
    let shown = screen(&mut state, Some(&picture), 110, None);
    assert_eq!(lines_with(&shown, "77 busyd").len(), 1, "{}", shown.join("\n"));
    let limit =
        |what: &str, used, max, of_user| Limit { what: what.to_owned(), used, max, of_user };
    let detail = Detail {
        unique: ":1.2".to_owned(),
        command: Some("/usr/bin/busyd --now\u{7}".to_owned()),
        unit: Some("busy.service".to_owned()),
        limits: vec![
            limit("max_outgoing_bytes", 50 << 20, 100 << 20, None),
            limit("share of names", 9, 0, Some((9, 18))),
        ],
        calls: vec!["call 7 of :1.3 waits for 12.3s".to_owned()],
        ..Detail::default()
    };
    let mut seen = screen(&mut state, Some(&picture), 110, Some(&detail));
    press(&mut state, &picture, &[KeyCode::Down; 50]);
    seen.extend(screen(&mut state, Some(&picture), 110, Some(&detail)));
    for text in [
        ":1.2  org.example.Busy",
        "  process     77 /usr/bin/busyd --now\\007",
        "  unit        busy.service",
        "  user        alice (1000)",
        "  sent        1.0k messages/s; 2.0k messages, 20K bytes in all",
        "  owes        3, the oldest for 12.3s",
        "  max_outgoing_bytes              ██████████··········  50%  50M of 100M",
        "  share of names                  ████████████████████ 100%  9 of 0  its user 9 of 18",
        "  call 7 of :1.3 waits for 12.3s",
    ] {
        assert!(seen.iter().any(|line| line == text), "{text:?} in\n{}", seen.join("\n"));
    }
    // Another one's details are not shown as its own.
    let other = Detail { unique: ":1.9".to_owned(), ..detail };
    let shown = screen(&mut state, Some(&picture), 110, Some(&other));
    assert!(lines_with(&shown, "max_outgoing_bytes").is_empty());
    state.follow(&Picture { rows: Vec::new(), ..picture });
    assert_eq!(state.looked_at(), Some(":1.2"), "it is still looked at when it has gone");
}

#[test]
fn what_the_bus_does_not_tell_is_said() {
    let untold = Client { unique: ":1.1".to_owned(), ..Client::default() };
    let [_, now] = samples(Vec::new(), vec![untold]);
    let picture = Picture::new(None, &now);
    let mut state = State::new(Column::Bytes, String::new());
    let shown = screen(&mut state, Some(&picture), 140, None);
    let said = "this bus does not tell: messages and bytes, queues, quotas, calls that wait";
    assert!(shown[2].starts_with(said), "{}", shown[2]);
    assert!(
        shown[4].starts_with(":1.1           -       -        -      -      -"),
        "{}",
        shown[4]
    );
    let picture = Picture::new(None, &Sample { is_denied: true, ..now });
    let shown = screen(&mut state, Some(&picture), 140, None);
    assert!(shown[2].contains("policy keeps its statistics from you"), "{}", shown[2]);
}

#[test]
fn help_pause_and_the_end() {
    let (mut state, picture) = started();
    press(&mut state, &picture, &[KeyCode::Char('?')]);
    let shown = screen(&mut state, Some(&picture), 100, None);
    assert!(lines_with(&shown, "its details").len() == 1, "{}", shown.join("\n"));
    press(&mut state, &picture, &[KeyCode::Char('x'), KeyCode::Char(' ')]);
    assert_eq!((state.view, state.is_paused), (View::Clients, true));
    let shown = screen(&mut state, Some(&picture), 100, None);
    assert!(shown[0].ends_with("paused"), "{}", shown[0]);
    let quit = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
    assert_eq!(state.handle_key(quit, Some(&picture)), Action::Quit);
    let quit = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(state.handle_key(quit, None), Action::Quit);
}
