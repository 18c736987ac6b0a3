//! Tables: columns as wide as their longest cell.

use super::style::{Look, Style};

/// A table that is filled row by row.
#[derive(Debug)]
pub(crate) struct Table {
    titles: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// The column of numbers.
    right: Option<usize>,
    /// How wide columns are at least.
    room: Vec<usize>,
}

impl Table {
    pub(crate) fn new(titles: &[&'static str]) -> Self {
        let room = vec![0; titles.len()];
        Self { titles: titles.to_vec(), rows: Vec::new(), right: None, room }
    }

    /// The cells of this column stand at its right.
    pub(crate) fn align_right(self, column: usize) -> Self {
        Self { right: Some(column), ..self }
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
            let width = *width;
            line += &match self.right == Some(column) {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            };
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::super::style::{ColorChoice, Style};
    use super::Table;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let mut table = Table::new(&["NAME", "PID"]);
        table.push(vec!["ä".to_owned(), "1".to_owned()]);
        table.push(vec!["longer".to_owned(), "-".to_owned()]);
        let style = Style::new(ColorChoice::Never);
        assert_eq!(table.lines(style, true), ["NAME   PID", "ä      1", "longer -"]);
        assert_eq!(table.lines(style, false), ["ä      1", "longer -"]);
        let mut table = table.align_right(1);
        table.make_room(0, 7);
        assert_eq!(table.lines(style, true), ["NAME    PID", "ä         1", "longer    -"]);
    }
}
