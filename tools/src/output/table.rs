//! Tables: columns as wide as their longest cell, whatever others have written into it.
//!
//! std pads up to 65,535 characters and panics beyond; [`push_cell`] and [`blanks`] have no such end.

use super::style::{Look, Style};

/// A table that is filled row by row.
#[derive(Debug)]
pub(crate) struct Table {
    titles: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// How wide columns are at least.
    room: Vec<usize>,
}

impl Table {
    pub(crate) fn new(titles: &[&'static str]) -> Self {
        let room = vec![0; titles.len()];
        Self { titles: titles.to_vec(), rows: Vec::new(), room }
    }

    /// This column is so wide at least.
    pub(crate) fn make_room(&mut self, column: usize, width: usize) {
        if let Some(room) = self.room.get_mut(column) {
            *room = width.max(*room);
        }
    }

    /// Cells are harmless text: see [`super::escape`].
    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Line by line; the last column is not filled up.
    pub(crate) fn lines(&self, style: Style, has_titles: bool) -> Vec<String> {
        let titles: Vec<String> = self.titles.iter().map(|title| (*title).to_owned()).collect();
        let widths = self.widths(has_titles.then_some(&titles));
        let head = has_titles.then(|| style.paint(Look::Bold, &self.line(&titles, &widths)));
        head.into_iter().chain(self.rows.iter().map(|row| self.line(row, &widths))).collect()
    }

    fn widths(&self, titles: Option<&Vec<String>>) -> Vec<usize> {
        let width = |column| {
            let cells = self.rows.iter().chain(titles).filter_map(|row| row.get(column));
            cells.map(|cell: &String| cell.chars().count()).max().unwrap_or_default()
        };
        self.room.iter().enumerate().map(|(column, room)| width(column).max(*room)).collect()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            if column > 0 {
                line.push(' ');
            }
            push_cell(&mut line, cell, *width, Side::Left);
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Where a cell stands in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Adds a cell that is so wide at least.
pub(crate) fn push_cell(line: &mut String, cell: &str, width: usize, side: Side) {
    let gap = blanks(width.saturating_sub(cell.chars().count()));
    match side {
        Side::Left => line.extend([cell, &gap]),
        Side::Right => line.extend([&gap, cell]),
    }
}

/// So many of them.
pub(crate) fn blanks(count: usize) -> String {
    " ".repeat(count)
}

#[cfg(test)]
mod tests {
    use super::super::style::{ColorChoice, Style};
    use super::Table;

    #[test]
    fn a_cell_may_be_wider_than_std_pads() {
        let style = Style::new(ColorChoice::Never);
        let mut table = Table::new(&["A", "B"]);
        let long = "x".repeat(65_536);
        table.push(vec!["1".to_owned(), "2".to_owned()]);
        table.push(vec![long.clone(), "3".to_owned()]);
        let gap = " ".repeat(65_535);
        assert_eq!(table.lines(style, false), [format!("1{gap} 2"), format!("{long} 3")]);
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let mut table = Table::new(&["NAME", "PID"]);
        table.push(vec!["ä".to_owned(), "1".to_owned()]);
        table.push(vec!["longer".to_owned(), "-".to_owned()]);
        let style = Style::new(ColorChoice::Never);
        assert_eq!(table.lines(style, true), ["NAME   PID", "ä      1", "longer -"]);
        assert_eq!(table.lines(style, false), ["ä      1", "longer -"]);
        table.make_room(0, 7);
        assert_eq!(table.lines(style, true), ["NAME    PID", "ä       1", "longer  -"]);
    }
}
