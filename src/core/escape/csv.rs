//! Text for one cell of a CSV file (RFC 4180) that a spreadsheet may open.

use super::terminal_lines;

/// One cell, quoted where RFC 4180 asks for it.
///
/// A cell that a spreadsheet would take for a formula (`=`, `+`, `-`, `@`, also after blanks and in their full-width
/// forms) gets a leading `'`, as does one that begins with a tab or carriage return. Line breaks become line feeds; other
/// characters that [`super::terminal_lines`] makes visible are visible here too, since a CSV file may end up on a terminal.
pub fn csv_cell(text: &str) -> String {
    let lines = text.replace("\r\n", "\n");
    let mark = if is_active(&lines) { "'" } else { "" };
    let content = format!("{mark}{}", terminal_lines(&lines));
    let blank_end = content.trim_matches([' ', '\n']) != content;
    if blank_end || content.contains([',', ';', '"', '\n']) { format!("\"{}\"", content.replace('"', "\"\"")) } else { content }
}

fn is_active(text: &str) -> bool {
    let first = text.trim_start().chars().next();
    text.starts_with(['\t', '\r'])
        || matches!(first, Some('=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}'))
}
