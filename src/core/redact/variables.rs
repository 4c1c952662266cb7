//! The values of variables that are named like secrets, in all their spellings.
//!
//! Named like a secret is a name that holds TOKEN, SECRET, PASSWORD, PASSWD, PASSPHRASE, API_KEY, ACCESS_KEY or WEBHOOK, or ends
//! in _PASS, _PWD, _PAT, _DSN or _JWT; also, less surely, one that holds PRIVATE, CREDENTIAL or AUTH (but not AUTHOR) or ends in
//! _KEY (but not PUBLIC_KEY). Case does not matter. Left out are values that would only do harm: shorter than 8 bytes without the
//! white space around them; words such as `disabled`, and any lower-case word of letters under a less sure name; unexpanded `$NAME`
//! and other placeholders; the variable's own name; paths and URLs of which no part looks like a secret (but a WEBHOOK's URL).

use super::shape::{is_placeholder, is_secret_segment};
use super::spellings::{self, SHORTEST};
use super::{Certainty, Finding};
use std::collections::{BTreeSet, HashMap};

const SURE: [&str; 10] =
    ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "API_KEY", "APIKEY", "ACCESS_KEY", "ACCESSKEY", WEBHOOK];

const WEBHOOK: &str = "WEBHOOK";
const SURE_ENDINGS: [&str; 5] = ["_PASS", "_PWD", "_PAT", "_DSN", "_JWT"];
const SURE_NAMES: [&str; 4] = ["PASS", "PAT", "DSN", "SSHPASS"];
const LESS_SURE: [&str; 2] = ["PRIVATE", "CREDENTIAL"];

/// What settings that are named like secrets say.
const SETTINGS: [&str; 10] = [
    "disabled",
    "required",
    "optional",
    "undefined",
    "unlimited",
    "protected",
    "unprotected",
    "inherited",
    "automatic",
    "not-needed",
];

/// The values to look for.
pub(super) struct Variables {
    /// `variable:NAME`, one for each variable.
    kinds: Vec<String>,
    /// By their first bytes; the longest first.
    spellings: HashMap<[u8; SHORTEST], Vec<Spelling>>,
    first_bytes: [bool; 256],
}

struct Spelling {
    text: String,
    kind: usize,
}

impl Variables {
    /// Of an environment, those that are named like secrets, hold one, and are not allowed.
    pub(super) fn new(environment: impl IntoIterator<Item = (String, String)>, allowed: &BTreeSet<String>) -> Variables {
        let mut secrets: Vec<(String, String)> = environment
            .into_iter()
            .filter_map(|(name, value)| Some((kind_of_secret(&name, &value)?, value)))
            .filter(|(kind, _)| !allowed.contains(kind))
            .collect();
        // Of two variables with one value, the plainer name is shown: CI_JOB_TOKEN, not CI_DEPENDENCY_PROXY_PASSWORD.
        secrets.sort_by(|(one, _), (other, _)| (one.len(), one).cmp(&(other.len(), other)));
        let mut variables = Variables { kinds: Vec::new(), spellings: HashMap::new(), first_bytes: [false; 256] };
        for (kind, value) in secrets {
            variables.kinds.push(kind);
            for spelling in spellings::of(value.trim()) {
                variables.add(spelling);
            }
        }
        for alike in variables.spellings.values_mut() {
            alike.sort_by_key(|spelling| std::cmp::Reverse(spelling.text.len()));
        }
        variables
    }

    fn add(&mut self, text: String) {
        let Some(first) = text.as_bytes().first_chunk::<SHORTEST>() else {
            return;
        };
        self.first_bytes[usize::from(first[0])] = true;
        let alike = self.spellings.entry(*first).or_default();
        let kind = self.kinds.len() - 1;
        if alike.iter().all(|spelling| spelling.text != text) {
            alike.push(Spelling { text, kind });
        }
    }

    /// Adds every place of every value in a piece of text, also those that overlap.
    pub(super) fn find<'r>(&'r self, text: &str, findings: &mut Vec<Finding<'r>>) {
        for (start, window) in text.as_bytes().windows(SHORTEST).enumerate() {
            if !self.first_bytes[usize::from(window[0])] {
                continue;
            }
            let alike = window.first_chunk().and_then(|first| self.spellings.get(first));
            let rest = &text.as_bytes()[start..];
            let longest = alike.into_iter().flatten();
            let mut longest = longest.filter(|spelling| rest.starts_with(spelling.text.as_bytes()));
            if let Some(spelling) = longest.next() {
                findings.push(Finding {
                    range: start..start + spelling.text.len(),
                    kind: &self.kinds[spelling.kind],
                    certainty: Certainty::Variable,
                });
            }
        }
    }

    /// The kinds that can be found, `variable:NAME`.
    pub(super) fn kinds(&self) -> &[String] {
        &self.kinds
    }

    /// Whether this kind is one of them.
    pub(super) fn has_kind(&self, kind: &str) -> bool {
        self.kinds.iter().any(|known| known == kind)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    LikeASecret,
    Webhook,
    Perhaps,
}

fn kind_of_secret(name: &str, value: &str) -> Option<String> {
    let named = named(&name.to_ascii_uppercase())?;
    let plain = |character: char| match character {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '-' | '.' => character,
        _ => '_',
    };
    let kind = format!("variable:{}", name.chars().map(plain).collect::<String>());
    let value = value.trim();
    let marker = format!("{}{kind}]", super::MARKER_START);
    (holds_secret(named, value) && !marker.contains(value)).then_some(kind)
}

fn named(name: &str) -> Option<Named> {
    let holds = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if name.contains(WEBHOOK) {
        Some(Named::Webhook)
    } else if holds(&SURE) || ends(&SURE_ENDINGS) || SURE_NAMES.contains(&name) {
        Some(Named::LikeASecret)
    } else if holds(&LESS_SURE) || holds_auth(name) || is_key(name) {
        Some(Named::Perhaps)
    } else {
        None
    }
}

fn is_key(name: &str) -> bool {
    let public = name.contains("PUBLIC_KEY") || name.contains("PUBKEY");
    (name == "KEY" || name.ends_with("_KEY")) && !public
}

/// AUTH, OAUTH, AUTHORIZATION; not AUTHOR or AUTHORITY.
fn holds_auth(name: &str) -> bool {
    name.match_indices("AUTH").any(|(start, part)| {
        let rest = &name[start + part.len()..];
        !rest.starts_with("OR") || rest.starts_with("ORIZ") || rest.starts_with("ORIS")
    })
}

fn holds_secret(named: Named, value: &str) -> bool {
    let word = value.bytes().all(|byte| byte.is_ascii_lowercase());
    let setting = SETTINGS.contains(&value.to_ascii_lowercase().as_str());
    if setting || is_placeholder(value) || (named == Named::Perhaps && word) {
        return false;
    }
    let address = named != Named::Webhook && is_plain_url(value);
    value.len() >= SHORTEST && !address && !is_plain_path(value)
}

/// An absolute path of at least two parts, such as a variable of type file holds. A key in base64 may begin with `/` too.
fn is_plain_path(value: &str) -> bool {
    let plain = |character: char| character.is_alphanumeric() || "/._-+@~ ".contains(character);
    value.starts_with('/')
        && value.matches('/').count() >= 2
        && value.chars().all(plain)
        && !value.split('/').any(is_secret_segment)
}

/// A web address without user, query or fragment.
fn is_plain_url(value: &str) -> bool {
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.contains(['@', '?', '#']) && !rest.split('/').any(is_secret_segment))
}
