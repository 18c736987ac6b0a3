//! What the person at the screen has chosen, and what keys change of that.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::widgets::TableState;

use super::column::Column;
use super::picture::{Picture, Row};

/// Longest text that is looked for, in characters.
const FILTER_LENGTH_MAX: usize = 100;
/// Lines that a page is.
const PAGE: usize = 20;

/// What is on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    Clients,
    /// The client that was chosen.
    Detail,
    Help,
}

/// What was chosen.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) sort: Column,
    pub(crate) is_reversed: bool,
    pub(crate) filter: String,
    /// While a filter is typed: the one before.
    pub(crate) former_filter: Option<String>,
    pub(crate) view: View,
    pub(crate) is_paused: bool,
    /// The chosen client, which stays so wherever it goes in the table.
    pub(crate) chosen: Option<String>,
    /// Its line in the table, and the first line that is seen.
    pub(crate) table: TableState,
    /// The first line that is seen of a client's details.
    pub(crate) scroll: u16,
}

/// What is to be done beside drawing again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Nothing,
    Quit,
}

impl State {
    pub(crate) fn new(sort: Column, filter: String) -> Self {
        Self {
            sort,
            is_reversed: false,
            filter,
            former_filter: None,
            view: View::Clients,
            is_paused: false,
            chosen: None,
            table: TableState::new(),
            scroll: 0,
        }
    }

    /// The clients in their order.
    pub(crate) fn rows<'a>(&self, picture: &'a Picture) -> Vec<&'a Row> {
        picture.rows(&self.filter, self.sort, self.is_reversed)
    }

    /// The client whose details are looked at.
    pub(crate) fn looked_at(&self) -> Option<&str> {
        self.chosen.as_deref().filter(|_| self.view == View::Detail)
    }

    /// Finds the line of the chosen client in a picture; one that has gone leaves its place to who is there now.
    pub(crate) fn follow(&mut self, picture: &Picture) {
        let rows = self.rows(picture);
        if self.view == View::Detail {
            return;
        }
        let is_chosen = |row: &&Row| Some(&row.client.unique) == self.chosen.as_ref();
        let former = self.table.selected().unwrap_or_default();
        let place = rows.iter().position(is_chosen).unwrap_or(former);
        let place = place.min(rows.len().saturating_sub(1));
        let chosen = rows.get(place).map(|row| row.client.unique.clone());
        self.table.select(chosen.is_some().then_some(place));
        self.chosen = chosen;
    }

    pub(crate) fn handle_key(&mut self, key: KeyEvent, picture: Option<&Picture>) -> Action {
        if key.kind == KeyEventKind::Release {
            return Action::Nothing;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            let is_end = matches!(key.code, KeyCode::Char('c' | 'd'));
            return if is_end { Action::Quit } else { Action::Nothing };
        }
        if self.former_filter.is_some() {
            self.handle_typed(key.code);
        } else if key.code == KeyCode::Char('q') {
            return Action::Quit;
        } else {
            match self.view {
                View::Help => self.view = View::Clients,
                View::Detail => self.handle_in_detail(key.code),
                View::Clients => self.handle_in_table(key.code, picture),
            }
        }
        if let Some(picture) = picture {
            self.follow(picture);
        }
        Action::Nothing
    }

    fn handle_typed(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.former_filter = None,
            KeyCode::Esc => self.filter = self.former_filter.take().unwrap_or_default(),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(c) if self.filter.chars().count() < FILTER_LENGTH_MAX => {
                self.filter.push(c)
            }
            _ => {}
        }
    }

    fn handle_in_detail(&mut self, code: KeyCode) {
        match code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace => self.view = View::Clients,
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll = self.scroll.saturating_add(1),
            KeyCode::Home => self.scroll = 0,
            KeyCode::Char(' ' | 'p') => self.is_paused = !self.is_paused,
            _ => {}
        }
    }

    fn handle_in_table(&mut self, code: KeyCode, picture: Option<&Picture>) {
        match code {
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.view = View::Help,
            KeyCode::Char('/') => self.former_filter = Some(self.filter.clone()),
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char(' ' | 'p') => self.is_paused = !self.is_paused,
            KeyCode::Char('r') => self.is_reversed = !self.is_reversed,
            KeyCode::Right | KeyCode::Char('>') => self.sort_by_next(1),
            KeyCode::Left | KeyCode::Char('<') => self.sort_by_next(Column::ALL.len() - 1),
            KeyCode::Char(digit @ '0'..='9') => self.sort_by_digit(digit),
            KeyCode::Enter if self.chosen.is_some() => (self.view, self.scroll) = (View::Detail, 0),
            code => {
                if let Some(picture) = picture {
                    self.choose(code, picture);
                }
            }
        }
    }

    fn sort_by_next(&mut self, step: usize) {
        let place = Column::ALL.iter().position(|column| *column == self.sort).unwrap_or_default();
        let next = Column::ALL.iter().cycle().nth(place + step);
        self.sort = next.copied().unwrap_or(self.sort);
    }

    /// `1` is the first column, and `0` the tenth.
    fn sort_by_digit(&mut self, digit: char) {
        let number = digit.to_digit(10).filter(|number| *number > 0).unwrap_or(10) as usize;
        match Column::ALL.get(number - 1) {
            Some(column) if *column == self.sort => self.is_reversed = !self.is_reversed,
            Some(column) => (self.sort, self.is_reversed) = (*column, false),
            None => {}
        }
    }

    fn choose(&mut self, code: KeyCode, picture: &Picture) {
        let rows = self.rows(picture);
        let (place, last) =
            (self.table.selected().unwrap_or_default(), rows.len().saturating_sub(1));
        let place = match code {
            KeyCode::Up | KeyCode::Char('k') => place.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => place + 1,
            KeyCode::PageUp => place.saturating_sub(PAGE),
            KeyCode::PageDown => place + PAGE,
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => last,
            _ => place,
        };
        self.chosen = rows.get(place.min(last)).map(|row| row.client.unique.clone());
    }
}
