//! Text for one line of GitLab Flavored Markdown.
//!
//! A backslash is enough for what the Markdown parser acts on, and for the characters of GitLab's references, which keep
//! an element of their own when escaped. Other shortcuts GitLab looks for in the text *after* parsing, when backslashes
//! are gone: links (`://`), emoji (`:x:`), inline diffs (`{+`, `[-`), `[TOC]`, task boxes. There a `<span>` around one
//! character keeps the shortcut from being one text. Sources: CommonMark 0.31, GFM 0.29, and GitLab's
//! "GitLab Flavored Markdown" page.

use super::terminal;

/// One line, for any place in a Markdown text: it shows the text and nothing else, also at the start of a line, in a list
/// and in a table's cell. No link, image, HTML, code, heading, mention, reference, emoji, math or quick action comes out.
///
/// Runs of ASCII white space, line breaks included, become one space; at both ends they go.
pub fn markdown_inline(text: &str) -> String {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let line = words.join(" ");
    let characters: Vec<char> = terminal(&line).chars().collect();
    let mut result = String::with_capacity(characters.len() * 2);
    for position in 0..characters.len() {
        let (before, here) = characters.split_at(position);
        push_escaped(&mut result, before, here);
    }
    result
}

/// One line of code, for any place in a Markdown text but a table's cell: it shows the text as it is, and nothing in it acts.
///
/// Runs of ASCII white space, line breaks included, become one space; at both ends they go.
pub fn markdown_code(text: &str) -> String {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let line = words.join(" ");
    let line = terminal(&line);
    // a span ends at a run of as many backticks as begin it (CommonMark 0.31 § 6.1)
    let longest = line.split(|character| character != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let space = if line.is_empty() || line.starts_with('`') || line.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{line}{space}{fence}")
}

fn push_escaped(result: &mut String, before: &[char], here: &[char]) {
    let Some((&character, after)) = here.split_first() else {
        return;
    };
    let apart = is_shortcut(before, character, after);
    if apart {
        result.push_str("<span>");
    }
    match character {
        '<' => result.push_str("&lt;"),
        '>' => result.push_str("&gt;"),
        '|' => result.push_str("&#124;"),
        _ => {
            if is_markup(character) || starts_block(before, character, after) {
                result.push('\\');
            }
            result.push(character);
        }
    }
    if apart {
        result.push_str("</span>");
    }
}

/// Characters that mean something anywhere in a line.
fn is_markup(character: char) -> bool {
    "\\`*_{}[]()#!~^$%&@=".contains(character)
}

/// Characters that mean something only at the start: list items, rules, underlines of headings, quick actions.
fn starts_block(before: &[char], character: char, after: &[char]) -> bool {
    match character {
        '-' | '+' | '/' | ':' => before.is_empty(),
        '.' => {
            let number = (1..=9).contains(&before.len()) && before.iter().all(char::is_ascii_digit);
            number && after.first().is_none_or(|&next| next == ' ')
        }
        _ => false,
    }
}

/// Whether GitLab could make something of this character and its neighbours in the parsed text.
fn is_shortcut(before: &[char], character: char, after: &[char]) -> bool {
    let next = after.first().copied();
    match character {
        ':' => next.is_some_and(|next| next != ' ') && !is_clock_time(before, after),
        '[' => !starts_words(after),
        '{' => matches!(next, Some('+' | '-')),
        '.' => {
            matches!(before, [.., a, b, c] if [a, b, c].iter().all(|w| w.eq_ignore_ascii_case(&'w')))
        }
        '>' => before.last().is_some_and(|previous| previous.is_alphanumeric()),
        _ => false,
    }
}

/// A colon as in `14:05`, and not one that opens an emoji such as `:100:`.
fn is_clock_time(before: &[char], after: &[char]) -> bool {
    let hour = before.last().is_some_and(char::is_ascii_digit);
    let minute = after.len() >= 2 && after[..2].iter().all(char::is_ascii_digit);
    hour && minute && after.get(2).is_none_or(|&next| next == ' ')
}

/// A bracket as in `[JIRA-12]`, and not one of `[x]`, `[-gone-]`, `[[page]]`, `[TOC]`.
fn starts_words(after: &[char]) -> bool {
    let plain = after.len() >= 2 && after[..2].iter().all(char::is_ascii_alphanumeric);
    let contents = after.iter().take(3).collect::<String>();
    plain && !contents.eq_ignore_ascii_case("toc")
}
