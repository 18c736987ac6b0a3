//! Tables: columns as wide as their longest cell.

use super::style::{Look, Style};

/// A table that is filled row by row.
#[derive(Debug)]
pub(crate) struct Table {
    titles: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(titles: &[&'static str]) -> Self {
        Self { titles: titles.to_vec(), rows: Vec::new() }
    }

    /// Cells are harmless text: see [`super::escape`].
    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Line by line; the last column is not filled up.
    pub(crate) fn lines(&self, style: Style, has_titles: bool) -> Vec<String> {
        let titles: Vec<String> = self.titles.iter().map(|title| (*title).to_owned()).collect();
        let widths = self.widths(has_titles.then_some(&titles));
        let head = has_titles.then(|| style.paint(Look::Bold, &line(&titles, &widths)));
        head.into_iter().chain(self.rows.iter().map(|row| line(row, &widths))).collect()
    }

    fn widths(&self, titles: Option<&Vec<String>>) -> Vec<usize> {
        let width = |column| {
            let cells = self.rows.iter().chain(titles).filter_map(|row| row.get(column));
            cells.map(|cell: &String| cell.chars().count()).max().unwrap_or_default()
        };
        (0..self.titles.len()).map(width).collect()
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(cell);
        let missing = width.saturating_sub(cell.chars().count());
        line.extend(std::iter::repeat_n(' ', missing));
    }
    line.truncate(line.trim_end().len());
    line
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
    }
}
