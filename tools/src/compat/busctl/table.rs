//! Tables as systemd prints them: no wider than the terminal, where that is looked at, with what is shortened ending in
//! `…`; on a terminal titles are underlined and what is not known is grey.

use super::colours::{Colours, Look, NORMAL};
use crate::output::table::blanks;

/// A cell: harmless text, which is grey if there is nothing.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) is_grey: bool,
}

pub(super) struct Table<'t> {
    pub(super) titles: &'t [&'static str],
    pub(super) rows: Vec<Vec<Cell>>,
    /// The column of numbers, which stand at the right.
    pub(super) right: usize,
    pub(super) has_titles: bool,
    /// All lines together, if they are bounded.
    pub(super) width_max: Option<usize>,
    pub(super) colours: Colours,
}

impl Table<'_> {
    pub(super) fn lines(&self) -> Vec<String> {
        let wanted: Vec<usize> = (0..self.titles.len()).map(|column| self.wanted(column)).collect();
        let gaps = self.titles.len().saturating_sub(1);
        let widths = match self.width_max.map(|width| width.saturating_sub(gaps)) {
            Some(width) if width < wanted.iter().sum() => shared(&wanted, width),
            _ => wanted,
        };
        let titles = self.has_titles.then(|| self.title_line(&widths));
        titles.into_iter().chain(self.rows.iter().map(|row| self.line(row, &widths))).collect()
    }

    fn wanted(&self, column: usize) -> usize {
        let title = self.titles.get(column).filter(|_| self.has_titles);
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let cells = cells.map(|cell| cell.text.chars().count());
        cells.chain(title.map(|title| title.len())).max().unwrap_or_default().max(1)
    }

    fn title_line(&self, widths: &[usize]) -> String {
        let mut line = String::new();
        for (column, (title, width)) in self.titles.iter().zip(widths).enumerate() {
            if self.colours.are_there() {
                line += NORMAL;
            }
            line += self.colours.start(Look::Underlined);
            line += if column > 0 { " " } else { "" };
            line += &self.fitted(title, *width, column, self.colours.are_there());
            line += self.colours.end();
        }
        line
    }

    fn line(&self, row: &[Cell], widths: &[usize]) -> String {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            line += if column > 0 { " " } else { "" };
            let is_grey = cell.is_grey && self.colours.are_there();
            let text = self.fitted(&cell.text, *width, column, is_grey);
            match is_grey {
                true => line += &self.colours.paint(Look::Grey, &text),
                false => line += &text,
            }
        }
        line
    }

    /// As wide as its column; behind the last one there is nothing, unless that is seen.
    fn fitted(&self, text: &str, width: usize, column: usize, is_seen: bool) -> String {
        let text = shortened(text, width);
        let gap = blanks(width.saturating_sub(text.chars().count()));
        match column {
            column if column == self.right => gap + &text,
            column if column + 1 == self.titles.len() && !is_seen => text,
            _ => text + &gap,
        }
    }
}

/// With `…` instead of what does not fit.
pub(super) fn shortened(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        None => text.to_owned(),
        Some(_) => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Each column gets one character, and the rest is shared alike: who needs less than its share leaves more to those
/// that have none yet.
fn shared(wanted: &[usize], width: usize) -> Vec<usize> {
    let mut left = width.saturating_sub(wanted.len());
    let mut open = wanted.len();
    let mut widths: Vec<Option<usize>> = vec![None; wanted.len()];
    let share = |left: usize, open: usize| 1 + left / open.max(1);
    while let Some((given, wanted)) = widths
        .iter_mut()
        .zip(wanted)
        .find(|(given, wanted)| given.is_none() && share(left, open) >= **wanted)
    {
        *given = Some(*wanted);
        left -= wanted.saturating_sub(1);
        open -= 1;
    }
    let rest = |given: Option<usize>| {
        given.unwrap_or_else(|| {
            let width = share(left, open);
            left -= width - 1;
            open -= 1;
            width
        })
    };
    widths.into_iter().map(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::{shared, shortened};

    #[test]
    fn width_is_shared() {
        assert_eq!(shared(&[43, 5, 11, 4, 13, 4, 7, 11], 53), [8, 5, 8, 4, 8, 4, 7, 9]);
        assert_eq!(shared(&[43, 5, 11], 3), [1, 1, 1]);
        assert_eq!(shared(&[43, 5, 11], 0), [1, 1, 1]);
        assert_eq!(shared(&[2, 50], 20), [2, 18]);
        assert_eq!(shared(&[50, 2, 50], 9), [3, 2, 4]);
    }

    #[test]
    fn what_is_too_long_is_shortened() {
        assert_eq!(shortened("äbc", 3), "äbc");
        assert_eq!(shortened("äbcd", 3), "äb…");
        assert_eq!(shortened("ab", 1), "…");
    }
}
