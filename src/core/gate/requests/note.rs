//! The words by which somebody approves a deployment in a comment of a merge request:
//!
//! ```text
//! Deploy-Approval: production
//! Reason: EU cards are declined since noon; dana agreed by phone
//! Covers: !118 !121
//! Follow-up: dana looks at it on Monday
//! ```
//!
//! The first line that is neither quoted nor code says it; a comment that only speaks of such words is none. Which lines are quoted or
//! code is told as GitLab renders them (docs.gitlab.com/user/markdown; CommonMark 0.31 § 4.4, 4.5, 4.6, 5.1), and where that is in
//! doubt, they are.

use crate::core::record::Text;

/// The word that begins it, in whatever case.
pub(super) const KEY: &str = "Deploy-Approval";
/// What takes an approval back.
pub(super) const WITHDRAWN: &str = "withdrawn";
/// The most merge requests that one comment can cover.
const MOST_COVERED: usize = 100;

/// What a comment says of approvals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saying {
    /// Nothing.
    Nothing,
    /// It approves.
    Approves(Words),
    /// It takes back what its author said before.
    Withdraws,
    /// It has the words, but not so that they count: why.
    Malformed(&'static str),
}

/// The words of an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The environment.
    pub environment: String,
    /// The service, where one is named.
    pub service: Option<String>,
    /// Why.
    pub reason: Option<Text>,
    /// The numbers of the merge requests that it covers besides the one that it stands in.
    pub covers: Vec<u64>,
    /// What happens about the review afterwards.
    pub follow_up: Option<Text>,
}

/// Reads a comment.
pub fn read(body: &str) -> Saying {
    let mut lines = visible_lines(body).into_iter();
    // what is quoted or code before the words is passed over
    let first = lines.by_ref().find_map(|line| line.filter(|line| !line.trim().is_empty()));
    match first.and_then(field).filter(|(key, _)| key.eq_ignore_ascii_case(KEY)) {
        Some((_, value)) => said(value, lines),
        None if mentions(body) => {
            Saying::Malformed("`Deploy-Approval:` must begin the first line of the comment, outside of quotes, code and HTML")
        }
        None => Saying::Nothing,
    }
}

/// Whether the words stand anywhere in it at the beginning of a line, whatever marks are before them.
fn mentions(body: &str) -> bool {
    let marks = |character: char| character.is_whitespace() || ">`*_~-#<|".contains(character);
    body.lines().any(|line| field(line.trim_start_matches(marks)).is_some_and(|(key, _)| key.eq_ignore_ascii_case(KEY)))
}

fn said<'b>(value: &str, lines: impl Iterator<Item = Option<&'b str>>) -> Saying {
    if value.eq_ignore_ascii_case(WITHDRAWN) {
        return Saying::Withdraws;
    }
    if value.is_empty() {
        return Saying::Malformed("it must name the environment, as in `Deploy-Approval: production`");
    }
    let mut words = Words { environment: value.to_owned(), service: None, reason: None, covers: Vec::new(), follow_up: None };
    let mut reason: Option<String> = None;
    let mut is_in_reason = false;
    // what stands after a blank line, a quote or code says nothing about the approval
    for line in lines.map_while(|line| line.filter(|line| !line.trim().is_empty())) {
        let known = field(line).filter(|(key, _)| ["reason", "covers", "follow-up", "service"].contains(&key.as_str()));
        match known {
            Some((key, value)) => {
                is_in_reason = key == "reason";
                match key.as_str() {
                    "reason" => reason = Some(value.to_owned()),
                    "service" => words.service = Some(value.to_owned()),
                    "follow-up" => words.follow_up = Text::clean(value),
                    _ => match covered(value) {
                        Some(covers) => words.covers.extend(covers),
                        None => return Saying::Malformed("`Covers:` must list merge requests, as in `Covers: !120 !123`"),
                    },
                }
            }
            None if is_in_reason => {
                if let Some(reason) = &mut reason {
                    reason.push('\n');
                    reason.push_str(line.trim());
                }
            }
            None => {}
        }
    }
    words.reason = reason.as_deref().and_then(Text::clean);
    if words.covers.len() > MOST_COVERED {
        return Saying::Malformed("one comment can cover at most 100 merge requests");
    }
    Saying::Approves(words)
}

/// `!120 !123`, with commas or without.
fn covered(value: &str) -> Option<Vec<u64>> {
    let words = value.split([' ', ',', '\t']).filter(|word| !word.is_empty());
    words.map(|word| word.strip_prefix('!').and_then(|number| number.parse().ok()).filter(|number| *number < 1 << 53)).collect()
}

/// `Key: value`, the key in small letters.
fn field(line: &str) -> Option<(String, &str)> {
    let (key, value) = line.split_once(':')?;
    let key = key.trim();
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    is_key.then(|| (key.to_ascii_lowercase(), value.trim()))
}

/// The lines of a comment; `None` for what is quoted, code or HTML.
fn visible_lines(body: &str) -> Vec<Option<&str>> {
    let mut block = Block::None;
    body.lines()
        .map(|line| {
            let (next, is_visible) = block.after(line);
            block = next;
            is_visible.then_some(line)
        })
        .collect()
}

/// The block that a line is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    /// Plain text, which a line that is indented goes on with.
    Paragraph,
    /// After a line of a quote: text that follows at once still belongs to it ("lazy continuation").
    Quote,
    /// GitLab's quote over several lines, from `>>>` to `>>>`.
    LongQuote,
    /// From a fence of so many of these characters to its like.
    Fence(char, usize),
    /// HTML, which ends with the text or at a blank line, and an HTML comment, which ends with `-->`.
    Html,
    Comment,
}

impl Block {
    /// The block after this line, and whether the line can be seen as plain text.
    fn after(self, line: &str) -> (Block, bool) {
        let text = line.trim();
        let indent = line.len() - line.trim_start_matches(' ').len();
        match self {
            Block::Fence(mark, length) => {
                let ends = fence(line).is_some_and(|(other, count, rest)| other == mark && count >= length && rest.is_empty());
                (if ends { Block::None } else { self }, false)
            }
            Block::LongQuote => (if text == ">>>" { Block::None } else { self }, false),
            Block::Comment => (if text.contains("-->") { Block::Html } else { self }, false),
            _ if text.is_empty() && self != Block::Html => (Block::None, true),
            // a blank line ends most HTML blocks, and not all: what comes after one is no plain text for sure
            Block::Html => (Block::Html, false),
            _ if text == ">>>" => (Block::LongQuote, false),
            _ if text.starts_with('>') && indent < 4 => (Block::Quote, false),
            Block::Quote => (Block::Quote, false),
            Block::Paragraph if indent >= 4 || line.starts_with('\t') => (Block::Paragraph, true),
            _ if indent >= 4 || line.starts_with('\t') => (Block::None, false),
            _ if fence(line).is_some() => {
                let (mark, count, _) = fence(line).unwrap_or(('`', 3, ""));
                (Block::Fence(mark, count), false)
            }
            _ if text.starts_with("<!--") => (if text.contains("-->") { Block::Html } else { Block::Comment }, false),
            _ if text.starts_with('<') => (Block::Html, false),
            _ => (Block::Paragraph, true),
        }
    }
}

/// The mark of a fence, how many of it there are, and what comes after.
fn fence(line: &str) -> Option<(char, usize, &str)> {
    let text = line.trim_start_matches(' ');
    if line.len() - text.len() > 3 {
        return None;
    }
    let mark = text.chars().next().filter(|mark| ['`', '~'].contains(mark))?;
    let count = text.chars().take_while(|character| *character == mark).count();
    (count >= 3).then(|| (mark, count, text[count..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(body: &str) -> Words {
        match read(body) {
            Saying::Approves(words) => words,
            other => panic!("{body:?}: {other:?}"),
        }
    }

    #[test]
    fn the_whole_of_it() {
        let said = words(
            "Deploy-Approval: production\nReason: EU cards are declined;\ndana agreed\nCovers: !120, !123\n\
             Follow-up: dana looks at it\n\nCovers: !999",
        );
        assert_eq!((said.environment.as_str(), said.covers), ("production", vec![120, 123]));
        assert_eq!(said.reason, Text::clean("EU cards are declined;\ndana agreed"));
        assert_eq!(said.follow_up, Text::clean("dana looks at it"));
    }

    #[test]
    fn what_approves() {
        for body in [
            "Deploy-Approval: production",
            "\n\n  deploy-approval:production  \r\n",
            "Deploy-approval : production\nthe rest is talk",
            "> they asked\n\nDeploy-Approval: production",
            "```\ncode\n```\nDeploy-Approval: production",
            ">>>\nquoted\n\nDeploy-Approval: staging\n>>>\nDeploy-Approval: production",
        ] {
            assert_eq!(words(body).environment, "production", "{body:?}");
        }
        assert_eq!(words("Deploy-Approval: live\nService: api").service.as_deref(), Some("api"));
        assert_eq!(words("Deploy-Approval: live\nCovers: !1\nCovers: !2").covers, [1, 2]);
        assert_eq!(words("Deploy-Approval: live\n> Reason: not mine").reason, None);
        assert_eq!(words("Deploy-Approval: live\n\nReason: too late").reason, None);
    }

    #[test]
    fn what_takes_it_back() {
        for body in ["Deploy-Approval: withdrawn", "deploy-approval: Withdrawn\nReason: it broke"] {
            assert_eq!(read(body), Saying::Withdraws, "{body:?}");
        }
    }

    #[test]
    fn what_only_looks_like_it() {
        for body in [
            "LGTM\nDeploy-Approval: production",
            "> Deploy-Approval: production",
            "> they wrote\nDeploy-Approval: production",
            ">>>\nDeploy-Approval: production\n>>>",
            ">>>\nDeploy-Approval: production",
            "```\nDeploy-Approval: production\n```",
            "```\nDeploy-Approval: production",
            "~~~~\n~~~\nDeploy-Approval: production\n~~~~",
            "    Deploy-Approval: production",
            "\tDeploy-Approval: production",
            "`Deploy-Approval: production`",
            "* Deploy-Approval: production",
            "- [ ] x\nDeploy-Approval: production",
            "<!--\nDeploy-Approval: production\n-->",
            "<!-- x -->\nDeploy-Approval: production",
            "<details>\nDeploy-Approval: production\n</details>",
            "<pre>\n\nDeploy-Approval: production\n</pre>",
            "Deploy-Approval:",
            "Deploy-Approval: production\nCovers: 120",
            "Deploy-Approval: production\nCovers: everything",
            "Deploy-Approval: production\nCovers: !99999999999999999999",
        ] {
            assert!(matches!(read(body), Saying::Malformed(_)), "{body:?}: {:?}", read(body));
        }
        for body in ["", "LGTM", "I wonder about Deploy-Approval: lines", "Deploy Approval: production", "Deploy-Approvals: x"]
        {
            assert_eq!(read(body), Saying::Nothing, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(body in "(>|`{3}|~{3}|<!--|-->|Deploy-Approval:|Covers:|!1| |\t|\n|\r\n|é|x){0,40}") {
            let _ = read(&body);
        }

        /// Whatever is put before it in the same paragraph or an open quote, code or comment hides it.
        #[test]
        fn what_is_hidden_never_counts(before in "(>>>\n|> a\n|```\n|~~~\n|<!--\n|<pre>\n)", middle in "([a-z]{1,5}\n){0,3}") {
            let said = read(&format!("{before}{middle}Deploy-Approval: production"));
            prop_assert!(!matches!(said, Saying::Approves(_)));
        }
    }
}
