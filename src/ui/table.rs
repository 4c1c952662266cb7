//! Tables: the same rows as aligned text, Markdown or CSV.
//!
//! Pure. Cells are given as they are; each form escapes them for its place. Widths are columns of a terminal
//! (Unicode, UAX #11), so that wide and combining characters keep the columns straight.

use std::borrow::Cow;
use std::iter;

use unicode_width::UnicodeWidthStr;

use crate::core::escape::{csv_cell, markdown_inline, terminal};

/// Between two columns of aligned text.
const GAP: &str = "  ";

/// What a column of text keeps at least where the terminal is too narrow, in terminal columns.
const LEAST_WIDTH: usize = 8;

/// A header and rows of as many cells.
#[derive(Debug, Clone)]
pub struct Table {
    header: Vec<String>,
    right: Vec<usize>,
    whole: Vec<usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(header: &[&str]) -> Table {
        Table {
            header: header.iter().map(|&title| title.to_owned()).collect(),
            right: Vec::new(),
            whole: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Aligns these columns, counted from 0, to the right; they are never cut.
    pub fn right_aligned(mut self, columns: &[usize]) -> Table {
        self.right = columns.to_vec();
        self
    }

    /// Never cuts these columns, counted from 0.
    pub fn never_cut(mut self, columns: &[usize]) -> Table {
        self.whole = columns.to_vec();
        self
    }

    /// Adds a row. Cells that are missing are empty; cells beyond the header are dropped.
    pub fn row<Cell: Into<String>>(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let missing = iter::repeat_with(String::new);
        let cells = cells.into_iter().map(Into::into).chain(missing);
        self.rows.push(cells.take(self.header.len()).collect());
    }

    /// Aligned text for a terminal, one line a row, without columns in which nothing stands. Where `width` (terminal columns) is
    /// given and the table is wider, the widest columns of text are cut, which `…` shows, as far as they go.
    pub fn render(&self, width: Option<usize>) -> String {
        let lines = iter::once(&self.header).chain(&self.rows);
        let lines: Vec<Vec<Cow<'_, str>>> = lines.map(|cells| cells.iter().map(|cell| terminal(cell)).collect()).collect();
        let mut widths = self.natural_widths(&lines);
        for (column, width) in widths.iter_mut().enumerate() {
            if self.is_empty(column) {
                *width = 0;
            }
        }
        if let Some(limit) = width {
            self.shrink(&mut widths, limit);
        }
        lines.iter().map(|cells| self.text_line(cells, &widths)).collect()
    }

    /// A table of GitHub's and GitLab's Markdown, without columns in which nothing stands.
    pub fn render_markdown(&self) -> String {
        let columns: Vec<_> = (0..self.header.len()).filter(|&column| !self.is_empty(column)).collect();
        let rule = |&column: &usize| if self.is_right(column) { "---:" } else { "---" };
        let rules = columns.iter().map(|column| rule(column).to_owned());
        let escaped = |cells: &Vec<String>| markdown_line(columns.iter().map(|&column| markdown_inline(&cells[column])));
        let mut result = escaped(&self.header);
        result.push_str(&markdown_line(rules));
        result.extend(self.rows.iter().map(escaped));
        result
    }

    /// CSV with a header line (RFC 4180: lines end in CR LF), safe to open in a spreadsheet.
    pub fn render_csv(&self) -> String {
        let mut result = String::new();
        for cells in iter::once(&self.header).chain(&self.rows) {
            let cells: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
            result.push_str(&cells.join(","));
            result.push_str("\r\n");
        }
        result
    }

    fn is_empty(&self, column: usize) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row[column].is_empty())
    }

    fn is_right(&self, column: usize) -> bool {
        self.right.contains(&column)
    }

    fn natural_widths(&self, lines: &[Vec<Cow<'_, str>>]) -> Vec<usize> {
        let widest = |column: usize| lines.iter().map(|cells| cells[column].width()).max();
        (0..self.header.len()).map(|column| widest(column).unwrap_or(0)).collect()
    }

    /// Narrows the widest text columns, evenly, until the line fits or none can give any more.
    fn shrink(&self, widths: &mut [usize], limit: usize) {
        let gaps = GAP.len() * widths.iter().filter(|width| **width > 0).count().saturating_sub(1);
        loop {
            let excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(limit);
            let columns = widths.iter_mut().enumerate();
            let text = columns.filter(|&(column, _)| !self.is_right(column) && !self.whole.contains(&column));
            let widest = text.max_by_key(|(_, width)| **width);
            match widest {
                Some((_, width)) if excess > 0 && *width > LEAST_WIDTH => *width -= 1,
                _ => return,
            }
        }
    }

    fn text_line(&self, cells: &[Cow<'_, str>], widths: &[usize]) -> String {
        let mut line = String::new();
        for (column, (cell, &width)) in cells.iter().zip(widths).enumerate().filter(|(_, (_, width))| **width > 0) {
            let cell = cut(cell, width);
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            if !line.is_empty() {
                line.push_str(GAP);
            }
            if self.is_right(column) {
                line.push_str(&padding);
                line.push_str(&cell);
            } else {
                line.push_str(&cell);
                line.push_str(&padding);
            }
        }
        line.truncate(line.trim_end_matches(' ').len());
        line.push('\n');
        line
    }
}

/// The longest beginning that fits together with `…`, or the whole text where that fits.
fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let ends: Vec<usize> = text.char_indices().map(|(start, _)| start).collect();
    let fitting = ends.partition_point(|&end| text[..end].width() < width);
    let end = fitting.checked_sub(1).map_or(0, |last| ends[last]);
    Cow::Owned(format!("{}…", text[..end].trim_end_matches([' ', '\u{200d}'])))
}

fn markdown_line(cells: impl Iterator<Item = String>) -> String {
    let cells: String = cells.map(|cell| format!(" {cell} |")).collect();
    format!("|{cells}\n")
}

#[cfg(test)]
mod tests;
