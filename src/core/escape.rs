//! Makes text from outside harmless for the place where it is shown: a terminal, a Markdown page, a spreadsheet.
//!
//! Pure. Ordinary text in any script, with its combining marks, emoji and right-to-left letters, stays as it is on a
//! terminal; what would act on the terminal or on the text around it without being seen becomes visible as an escape
//! such as `\u{1b}`. An escaped text is for reading: it can't be told from a text that held these letters from the start.

mod csv;
mod hidden;
mod markdown;
#[cfg(test)]
mod tests;
mod title;

use std::borrow::Cow;

pub use csv::csv_cell;
pub use hidden::marked;
pub use markdown::{markdown_code, markdown_inline};
pub use title::plain_title;

/// One line for a terminal: control characters (C0, DEL, C1, so also ANSI sequences, tabs and line breaks), line and
/// paragraph separators, controls of the writing direction and invisible characters become visible.
pub fn terminal(text: &str) -> Cow<'_, str> {
    visible(text, |_| false)
}

/// Several lines for a terminal: as [`terminal`], but line feeds stay.
pub fn terminal_lines(text: &str) -> Cow<'_, str> {
    visible(text, |character| character == '\n')
}

/// One word for a POSIX shell.
pub fn shell_quoted(text: &str) -> String {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-:@%+,=".contains(&byte));
    if is_plain && !text.starts_with('-') { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn visible(text: &str, keep: fn(char) -> bool) -> Cow<'_, str> {
    if !marked(text).any(|(character, hidden)| hidden && !keep(character)) {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len() + 16);
    for (character, hidden) in marked(text) {
        if hidden && !keep(character) {
            result.extend(character.escape_default());
        } else {
            result.push(character);
        }
    }
    Cow::Owned(result)
}
