//! Takes secrets out of free text before it is signed: what is written to the log can't be taken back.
//!
//! Found are the token formats of [`KINDS`] and the values of variables that are named like secrets, in several spellings
//! (`variables`). Each is replaced by `[redacted:<kind>]`. The contract: redacting twice changes nothing more; time is linear in
//! the text; text without a secret comes back as it was; nothing here panics or holds a secret in its `Debug` output.
//! Best effort: a secret that has no known format and is no variable's value is not found, nor is one that was encoded in some
//! other way than base64, percent-encoding or JSON's escapes.

mod percent;
mod private_keys;
mod rules;
mod shape;
mod spellings;
mod urls;
mod variables;

use regex::{Regex, RegexSet};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use variables::Variables;

/// Every kind but `variable:NAME`, as it stands in `[redacted:<kind>]` and in a list of allowed kinds.
///
/// `url-password` is a password or token in a URL, before the host or in the query; `authorization` is the credential of an
/// HTTP header; `aws-access-key` is an access key id, or a secret access key or session token that is named as one.
pub const KINDS: [&str; 9] = [
    "gitlab-token",
    "aws-access-key",
    "github-token",
    "slack-token",
    "stripe-key",
    "jwt",
    "private-key",
    "url-password",
    "authorization",
];

const MARKER_START: &str = "[redacted:";

/// How often what is left beside a secret is searched again. Only texts made for it need more than one further round.
const DEEPEST: usize = 4;

/// Finds and replaces secrets; made once for each process from its environment.
pub struct Redactor {
    variables: Variables,
    allowed: BTreeSet<String>,
}

/// A text without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted<'a> {
    /// The text, borrowed where nothing was found.
    pub text: Cow<'a, str>,
    /// One entry for each `[redacted:<kind>]` that was put in, in the order of the text.
    pub hits: Vec<Hit>,
}

/// One secret that was taken out. It holds nothing of the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// One of [`KINDS`], or `variable:NAME`.
    pub kind: String,
}

/// A secret's place in a piece of text, in bytes.
struct Finding<'r> {
    range: Range<usize>,
    kind: &'r str,
    certainty: Certainty,
}

/// Names the finding where several cover the same bytes: the first is the most telling.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Certainty {
    /// A known value.
    Variable,
    /// A known format.
    Format,
    /// What stands where secrets stand.
    Place,
}

impl Redactor {
    /// A redactor for these variables.
    ///
    /// `variables` is the process's environment; only those named like secrets with values of 8 bytes or more are used.
    /// `allow` holds kinds that are false hits and left alone (`jwt`, `variable:CACHE_KEY`).
    pub fn new(variables: impl IntoIterator<Item = (String, String)>, allow: &[String]) -> Redactor {
        let allowed: BTreeSet<String> = allow.iter().cloned().collect();
        Redactor { variables: Variables::new(variables, &allowed), allowed }
    }

    /// Replaces every secret by `[redacted:<kind>]`; where secrets overlap, all that they cover becomes one.
    pub fn redact<'a>(&self, text: &'a str) -> Redacted<'a> {
        let mut output = Output::default();
        let mut position = 0;
        for marker in self.markers(text) {
            self.redact_piece(&text[position..marker.start], 0, &mut output);
            output.text.push_str(&text[marker.clone()]);
            position = marker.end;
        }
        self.redact_piece(&text[position..], 0, &mut output);
        if output.hits.is_empty() {
            return Redacted { text: Cow::Borrowed(text), hits: Vec::new() };
        }
        Redacted { text: Cow::Owned(output.text), hits: output.hits }
    }

    /// The kind of the first secret in the text, if there is one.
    pub fn finds(&self, text: &str) -> Option<String> {
        let mut position = 0;
        for marker in self.markers(text) {
            if let Some(first) = self.find(&text[position..marker.start]).first() {
                return Some(first.kind.to_owned());
            }
            position = marker.end;
        }
        let findings = self.find(&text[position..]);
        findings.first().map(|first| first.kind.to_owned())
    }

    /// What is left beside a secret is searched again on its own, as a second redaction would see it. So redacting twice changes
    /// nothing more, and `DEEPEST` keeps the work linear.
    fn redact_piece(&self, piece: &str, depth: usize, output: &mut Output) {
        let findings = self.find(piece);
        let Some(first) = findings.first() else {
            output.text.push_str(piece);
            return;
        };
        if depth == DEEPEST {
            output.replace(first.kind);
            return;
        }
        let mut position = 0;
        for finding in &findings {
            self.redact_piece(&piece[position..finding.range.start], depth + 1, output);
            output.replace(finding.kind);
            position = finding.range.end;
        }
        self.redact_piece(&piece[position..], depth + 1, output);
    }

    /// All secrets in a piece without markers, in order and apart from each other.
    fn find(&self, piece: &str) -> Vec<Finding<'_>> {
        let mut findings = Vec::new();
        self.find_as_written(piece, &mut findings);
        if let Some(decoded) = percent::decode(piece) {
            let first_decoded = findings.len();
            self.find_as_written(&decoded.text, &mut findings);
            for finding in &mut findings[first_decoded..] {
                finding.range = decoded.original(&finding.range);
            }
        }
        findings.retain(|finding| !self.allowed.contains(finding.kind));
        merged(findings)
    }

    fn find_as_written<'r>(&'r self, piece: &str, findings: &mut Vec<Finding<'r>>) {
        rules::find(piece, findings);
        private_keys::find(piece, findings);
        urls::find(piece, findings);
        self.variables.find(piece, findings);
    }

    /// The places of what this redactor itself has written, or could have.
    fn markers<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
        text.match_indices(MARKER_START).filter_map(move |(start, _)| {
            let inside = &text[start + MARKER_START.len()..];
            let length = inside.find(['[', ']'])?;
            let kind = &inside[..length];
            let closed = inside[length..].starts_with(']');
            let known = KINDS.contains(&kind) || self.variables.has_kind(kind);
            (closed && known).then(|| start..start + MARKER_START.len() + length + 1)
        })
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Redactor").field("variables", &self.variables.kinds()).field("allowed", &self.allowed).finish()
    }
}

#[derive(Default)]
struct Output {
    text: String,
    hits: Vec<Hit>,
}

impl Output {
    fn replace(&mut self, kind: &str) {
        self.text.push_str(MARKER_START);
        self.text.push_str(kind);
        self.text.push(']');
        self.hits.push(Hit { kind: kind.to_owned() });
    }
}

/// Findings that share bytes become one that covers them all, named after the longest.
fn merged(mut findings: Vec<Finding<'_>>) -> Vec<Finding<'_>> {
    findings.sort_by_key(|finding| (finding.range.start, finding.certainty));
    let mut apart: Vec<Finding<'_>> = Vec::new();
    let mut longest = 0;
    for finding in findings {
        let length = finding.range.len();
        match apart.last_mut() {
            Some(last) if finding.range.start < last.range.end => {
                last.range.end = last.range.end.max(finding.range.end);
                if (length, last.certainty) > (longest, finding.certainty) {
                    longest = length;
                    last.kind = finding.kind;
                    last.certainty = finding.certainty;
                }
            }
            _ => {
                longest = length;
                apart.push(finding);
            }
        }
    }
    apart
}

/// Compiles a pattern of this program's own. ASCII only: Unicode's classes are slower and no secret needs them.
#[allow(clippy::expect_used, reason = "the patterns are constants, and every test compiles them")]
fn pattern(text: &str) -> Regex {
    Regex::new(&format!("(?-u:{text})")).expect("a constant pattern is valid")
}

/// As `pattern`, for several at once.
#[allow(clippy::expect_used, reason = "the patterns are constants, and every test compiles them")]
fn patterns(texts: impl Iterator<Item = String>) -> RegexSet {
    RegexSet::new(texts.map(|text| format!("(?-u:{text})"))).expect("constant patterns are valid")
}

#[cfg(test)]
mod tests;
