//! Secrets that are told by how they begin or by what stands before them: one table.
//!
//! A rule finds its lead with a regular expression and takes the run of characters that follows. Each run is walked once however
//! many leads stand in it, so that the work stays linear. Shapes are those of the vendors' pages: GitLab "Token overview" (with the
//! dots of routable tokens and of job tokens that are JWTs), GitHub "About authentication", AWS IAM "Unique identifiers", Slack
//! "Token types", Stripe "API keys", RFC 7519 (JWT), RFC 6750 and 7617 (`Authorization`).

use super::shape::{is_placeholder, is_random};
use super::{Certainty, Finding, pattern, patterns};
use regex::{Regex, RegexSet};
use std::sync::LazyLock;

/// Between a name and its value: `=`, `:`, `=>`, `">`, with quotation marks, escaped or not.
const ASSIGNED: &str = r#"[\\"']{0,4}[ \t]{0,8}(?:=>|[:=>])[ \t]{0,8}[\\"']{0,4}"#;

/// Punctuation that may follow a secret in a sentence rather than end it.
const PUNCTUATION: [char; 6] = ['.', ',', ';', ':', '!', '?'];

/// One row of the table.
struct Rule {
    kind: &'static str,
    certainty: Certainty,
    /// A regular expression, where `{=}` is what stands between a name and its value. Of a format it is part of the secret and
    /// of a place it is not, and upper and lower case are alike there.
    lead: &'static str,
    /// The bytes that the run is made of.
    follows: fn(u8) -> bool,
    /// Whether the run is a secret.
    accepts: fn(&Candidate<'_>) -> bool,
}

/// A run of characters after a lead.
struct Candidate<'t> {
    before_lead: Option<char>,
    value: &'t str,
    after: &'t str,
}

impl Candidate<'_> {
    /// Whether the lead begins a word.
    fn begins_word(&self) -> bool {
        !self.before_lead.is_some_and(|before| before.is_ascii_alphanumeric())
    }

    fn is_capitals(&self) -> bool {
        let capital = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        self.value.bytes().all(capital)
    }

    fn is_set(&self, shortest: usize) -> bool {
        self.value.len() >= shortest && !is_placeholder(self.value)
    }

    fn is_random(&self, shortest: usize) -> bool {
        self.value.len() >= shortest && is_random(self.value)
    }

    /// Whether the value ends its line or quotation, as a header's does and a word in a sentence does not.
    fn is_closed(&self) -> bool {
        self.after.chars().next().is_none_or(|after| matches!(after, '\n' | '\r' | '"' | '\'' | '`' | '\\' | '<'))
    }

    fn is_credential(&self) -> bool {
        self.is_set(8) && (is_random(self.value) || self.is_closed())
    }
}

/// A text of so many bytes is looked at once for all leads, before it is searched for those that are in it. Beside many secrets
/// there are many short pieces; in a long text each lead on its own is found faster.
const SHORT: usize = 256;

struct Table {
    rules: Vec<(&'static Rule, Regex)>,
    leads: RegexSet,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let rules = || FORMATS.iter().chain(PLACES);
    Table { rules: rules().map(|rule| (rule, pattern(&rule.lead()))).collect(), leads: patterns(rules().map(Rule::lead)) }
});

/// Adds what the table finds in a piece of text.
pub(super) fn find(text: &str, findings: &mut Vec<Finding<'_>>) {
    if text.len() > SHORT {
        for (rule, lead) in &TABLE.rules {
            rule.find(lead, text, findings);
        }
        return;
    }
    for index in &TABLE.leads.matches(text) {
        let (rule, lead) = &TABLE.rules[index];
        rule.find(lead, text, findings);
    }
}

impl Rule {
    fn lead(&self) -> String {
        let lead = self.lead.replace("{=}", ASSIGNED);
        if self.certainty == Certainty::Place { format!("(?i:{lead})") } else { lead }
    }

    fn find(&self, lead: &Regex, text: &str, findings: &mut Vec<Finding<'_>>) {
        let mut position = 0;
        let mut run_end = 0;
        let mut value_end = 0;
        while let Some(lead) = lead.find_at(text, position) {
            if lead.end() >= run_end {
                let rest = text[lead.end()..].bytes();
                run_end = lead.end() + rest.take_while(|byte| (self.follows)(*byte)).count();
                let run = &text[lead.end()..run_end];
                value_end = lead.end() + run.trim_end_matches(PUNCTUATION).len();
            }
            let end = value_end.max(lead.end());
            let candidate = Candidate {
                before_lead: text[..lead.start()].chars().next_back(),
                value: &text[lead.end()..end],
                after: &text[run_end..],
            };
            if !(self.accepts)(&candidate) {
                position = lead.end();
                continue;
            }
            let start = if self.certainty == Certainty::Place { lead.end() } else { lead.start() };
            findings.push(Finding { range: start..end, kind: self.kind, certainty: self.certainty });
            position = run_end;
        }
    }
}

/// Tokens that begin in their own way.
const FORMATS: &[Rule] = &[
    Rule {
        kind: "gitlab-token",
        certainty: Certainty::Format,
        lead: "gl(?:pat|oas|dt|rtr?|cbt|ptt|ft|imt|agent|soat|ffct|wt)-|GR1348941",
        follows: is_dotted_base64url,
        accepts: |found| found.is_random(20),
    },
    Rule {
        kind: "aws-access-key",
        certainty: Certainty::Format,
        lead: "A(?:KIA|SIA|BIA|CCA)",
        follows: is_alphanumeric,
        accepts: |found| found.begins_word() && found.value.len() == 16 && found.is_capitals(),
    },
    Rule {
        kind: "github-token",
        certainty: Certainty::Format,
        lead: "gh[pousr]_",
        follows: is_alphanumeric,
        accepts: |found| found.begins_word() && found.is_random(36),
    },
    Rule {
        kind: "github-token",
        certainty: Certainty::Format,
        lead: "github_pat_",
        follows: is_word,
        accepts: |found| found.is_random(36),
    },
    Rule {
        kind: "slack-token",
        certainty: Certainty::Format,
        lead: r"xox[a-z](?:\.xox[a-z])?-|xapp-",
        follows: is_hyphenated,
        accepts: |found| found.begins_word() && found.is_random(10),
    },
    Rule {
        kind: "stripe-key",
        certainty: Certainty::Format,
        lead: "[sr]k_(?:live|test)_",
        follows: is_alphanumeric,
        accepts: |found| found.begins_word() && found.is_random(16),
    },
    Rule {
        kind: "stripe-key",
        certainty: Certainty::Format,
        lead: "whsec_",
        follows: is_base64,
        accepts: |found| found.begins_word() && found.is_random(24),
    },
    Rule {
        kind: "private-key",
        certainty: Certainty::Format,
        lead: "AGE-SECRET-KEY-(?:PQ-)?1",
        follows: is_alphanumeric,
        accepts: |found| found.is_random(32),
    },
    // `eyJ` is `{"` in base64; `eyA` and `ewo` are `{` with white space after it.
    Rule {
        kind: "jwt",
        certainty: Certainty::Format,
        lead: r"(?:eyJ|eyA|ewo)[A-Za-z0-9_-]{8,}\.(?:eyJ|eyA|ewo)",
        follows: is_dotted_base64url,
        accepts: |found| found.value.len() >= 3,
    },
];

/// Values that are told by what stands before them.
const PLACES: &[Rule] = &[
    Rule {
        kind: "aws-access-key",
        certainty: Certainty::Place,
        lead: "secret[_ -]?(?:access[_ -]?)?key{=}",
        follows: is_base64,
        accepts: |found| found.value.len() == 40 && is_random(found.value),
    },
    Rule {
        kind: "aws-access-key",
        certainty: Certainty::Place,
        lead: "(?:session|security)[_-]?token{=}",
        follows: is_base64,
        accepts: |found| found.is_random(100),
    },
    Rule {
        kind: "slack-token",
        certainty: Certainty::Place,
        lead: r"hooks\.slack(?:-gov)?\.com\\?/(?:services|workflows|triggers)\\?/(?:[a-z0-9]{1,20}\\?/){0,3}",
        follows: is_hyphenated,
        accepts: |found| found.is_random(16),
    },
    Rule {
        kind: "gitlab-token",
        certainty: Certainty::Place,
        lead: "_gitlab_session=",
        follows: is_word,
        accepts: |found| found.is_random(32),
    },
    Rule {
        kind: "authorization",
        certainty: Certainty::Place,
        lead: r#"authorization{=}(?:bearer|basic|token|apikey|negotiate)[ \t]{1,8}[\\"']{0,4}"#,
        follows: is_header_value,
        accepts: |found| found.is_credential(),
    },
    Rule {
        kind: "authorization",
        certainty: Certainty::Place,
        lead: r"authorization{=}|bearer[ \t]{1,8}",
        follows: is_header_value,
        accepts: |found| found.is_random(20),
    },
    Rule {
        kind: "authorization",
        certainty: Certainty::Place,
        lead: "(?:private|job|deploy|x(?:-[a-z]{1,20}){1,2})-token{=}|x-api-key{=}",
        follows: is_header_value,
        accepts: |found| found.is_credential(),
    },
    Rule {
        kind: "url-password",
        certainty: Certainty::Place,
        lead: "(?:private|job|access|refresh|id|auth|feed|rss)_token=|client_secret=|_authtoken=",
        follows: is_query_value,
        accepts: |found| found.is_set(8),
    },
    Rule {
        kind: "url-password",
        certainty: Certainty::Place,
        lead: "[?&;](?:token|secret|api_?key|sig|x-amz-signature|x-amz-security-token|x-goog-signature)=",
        follows: is_query_value,
        accepts: |found| found.is_set(8),
    },
    Rule {
        kind: "url-password",
        certainty: Certainty::Place,
        lead: "[?&;](?:password|passwd|pwd)=",
        follows: is_query_value,
        accepts: |found| found.is_set(1),
    },
    Rule {
        kind: "authorization",
        certainty: Certainty::Place,
        lead: "(?:(?:private|job|access|refresh|auth)[_-]?token|client[_-]?secret){=}",
        follows: is_header_value,
        accepts: |found| found.is_random(20),
    },
];

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn is_hyphenated(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

fn is_dotted_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn is_header_value(byte: u8) -> bool {
    is_base64(byte) || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':' | b'*' | b'!' | b'@')
}

/// Any byte that a query's value can hold, also of characters that should have been encoded.
fn is_query_value(byte: u8) -> bool {
    !byte.is_ascii() || byte.is_ascii_graphic() && !b"&#\"'<>`;,)]\\|".contains(&byte)
}
