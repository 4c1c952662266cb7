//! Text for a title in GitLab, which is one line and knows no escapes.
//!
//! Titles of issues are no Markdown, but what looks like a reference or a mention in one is taken for that, and people are notified
//! (docs.gitlab.com/user/markdown, "GitLab-specific references"). So these signs are written in their full-width forms.

use super::terminal;

/// The signs by which GitLab's references, mentions and HTML begin, and what they become.
const SIGNS: &[(char, char)] = &[
    ('#', '＃'),
    ('!', '！'),
    ('@', '＠'),
    ('&', '＆'),
    ('~', '～'),
    ('%', '％'),
    ('$', '＄'),
    ('^', '＾'),
    ('*', '＊'),
    ('[', '［'),
    ('<', '＜'),
    ('`', '｀'),
];

/// One line for a title, of at most so many characters: nobody is mentioned, and nothing referred to.
pub fn plain_title(text: &str, most: usize) -> String {
    let full_width = |character| SIGNS.iter().find(|(sign, _)| *sign == character).map_or(character, |(_, other)| *other);
    let line: String = terminal(text).chars().map(full_width).collect();
    match line.char_indices().nth(most) {
        None => line,
        Some(_) => line.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}
