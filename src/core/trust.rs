//! Who may sign: OpenSSH's `allowed_signers` format (ssh-keygen(1), ALLOWED SIGNERS) with stricter rules, and revocations.
//!
//! A line is `PRINCIPAL namespaces="git,deploy-record"[,valid-after="…Z"][,valid-before="…Z"] KEYTYPE BASE64 [COMMENT]`: one
//! literal principal (in double quotes where it holds spaces), both namespaces by name, times in UTC. A principal may have
//! several keys and a key several lines, but a key has only one principal. Whatever breaks a rule is an error for the whole
//! file that names the line, where ssh-keygen would skip the line. What parses here means the same to ssh-keygen: any matching
//! line is enough, and both `valid-after` and `valid-before` are inclusive. Errors never repeat a key.

mod line;
#[cfg(test)]
mod tests;

use crate::core::seal::{Keys, NAMESPACE_GIT, NAMESPACE_RECORD};
use chrono::{DateTime, SecondsFormat, Utc};
use ssh_key::PublicKey;
use ssh_key::public::KeyData;
use std::collections::HashMap;

/// A trust root: the keys that may sign, each with its principal, namespaces and window of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedSigners {
    entries: Vec<Entry>,
    of_key: HashMap<KeyData, Vec<usize>>,
    keys: Keys,
}

/// One line of `allowed_signers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the file, counted from 1.
    pub line: usize,
    /// Whose key it is.
    pub principal: String,
    /// What it may sign; always has `git` and `deploy-record`.
    pub namespaces: Vec<String>,
    /// The first second at which it counts.
    pub valid_after: Option<DateTime<Utc>>,
    /// The last second at which it counts.
    pub valid_before: Option<DateTime<Utc>>,
    /// The key, with the line's comment.
    pub key: PublicKey,
}

/// Why `allowed_signers` can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("allowed_signers line {line}: {problem}")]
pub struct TrustError {
    /// The line's number, counted from 1.
    pub line: usize,
    /// What is wrong there, and what to write instead.
    pub problem: Problem,
}

/// What is wrong with a line of `allowed_signers`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A byte order mark.
    #[error("the file begins with a byte order mark; save it as UTF-8 without one")]
    ByteOrderMark,
    /// A private key, or a part of one.
    #[error(
        "this is a private key; take it out, treat it as stolen, and put the `.pub` file's content here after the principal"
    )]
    PrivateKey,
    /// The line starts with a key.
    #[error("the key has no principal; write the person's GitLab login or `ci:NAME` before it")]
    NoPrincipal,
    /// A pattern instead of a principal.
    #[error("`*`, `?` and `!` are not allowed in a principal; write one line for each principal, with its full name")]
    Wildcard,
    /// Several principals.
    #[error("a line has one principal; write one line, with a key of its own, for each")]
    SeveralPrincipals,
    /// Not a principal's name.
    #[error("the principal {0}; write the person's GitLab login or `ci:NAME`")]
    Principal(String),
    /// A double quote that isn't closed.
    #[error("a double quote is not closed; write `\"` at the end of the value too")]
    OpenQuote,
    /// A certificate authority.
    #[error("`cert-authority` is not allowed; write one line for each key instead")]
    CertAuthority,
    /// No namespaces.
    #[error("`namespaces` is missing; write `namespaces=\"git,deploy-record\"` between principal and key")]
    NoNamespaces,
    /// One of the two necessary namespaces isn't there.
    #[error("`namespaces` lacks `{0}`; write `namespaces=\"git,deploy-record\"`")]
    NamespaceLacking(&'static str),
    /// A pattern or blank among the namespaces.
    #[error("`namespaces` takes names between commas, without blanks and patterns; write `namespaces=\"git,deploy-record\"`")]
    Namespaces,
    /// An option of no known name.
    #[error(
        "the option {0} is unknown; write only `namespaces`, `valid-after` and `valid-before`, with commas and no blanks between"
    )]
    UnknownOption(String),
    /// An option that stands there twice.
    #[error("`{0}` is given twice; write it once")]
    OptionTwice(&'static str),
    /// An option's value without double quotes.
    #[error("`{0}` needs a value in double quotes; write `{0}=\"…\"`")]
    NotQuoted(&'static str),
    /// A local time.
    #[error("the time in `{0}` depends on the reader's time zone; add `Z` at its end: `20261120Z` or `20261120140511Z`")]
    NoZone(&'static str),
    /// Not a time.
    #[error("the time in `{0}` is none; write `YYYYMMDDZ`, `YYYYMMDDHHMMZ` or `YYYYMMDDHHMMSSZ`, after 1970-01-01")]
    Time(&'static str),
    /// An empty window.
    #[error("`valid-before` must be later than `valid-after`")]
    NeverValid,
    /// No key after principal and options.
    #[error("the key is missing; write its type and base64, as the `.pub` file has them")]
    NoKey,
    /// A key that isn't one.
    #[error("the key is broken; copy type and base64 from the `.pub` file again")]
    BrokenKey,
    /// A key whose signatures can't be checked.
    #[error("{0} is not supported; use an ed25519 key (`ssh-keygen -t ed25519`)")]
    UnsupportedKey(String),
    /// A key that has another principal already.
    #[error("this key is `{principal}`'s already (line {line}); give each principal a key of its own")]
    KeyOfAnother {
        /// Where it stood first.
        line: usize,
        /// Whose it was there.
        principal: String,
    },
}

/// Why an intact signature doesn't count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The key stands in no line.
    #[error("the key is not in allowed_signers")]
    UnknownKey,
    /// The key is another principal's.
    #[error("the key belongs to `{listed}` in allowed_signers, not to the signer named")]
    OtherPrincipal {
        /// Whose it is.
        listed: String,
    },
    /// The key may not sign this.
    #[error("the key may not sign in this namespace: its line in allowed_signers does not name it")]
    Namespace,
    /// The signature is older than the key's window.
    #[error("the key counts only from {} on", shown(from))]
    NotYetValid {
        /// The first second at which it counts.
        from: DateTime<Utc>,
    },
    /// The signature is newer than the key's window.
    #[error("the key counts only up to {}", shown(at))]
    Expired {
        /// The last second at which it counted.
        at: DateTime<Utc>,
    },
}

impl AllowedSigners {
    /// Reads the file's text. Comments, blank lines and CRLF are fine; a text without lines trusts nobody.
    ///
    /// # Errors
    /// The first line that breaks a rule.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let mut signers = AllowedSigners { entries: Vec::new(), of_key: HashMap::new(), keys: Keys::default() };
        for (number, line) in (1..).zip(text.split('\n')) {
            line::parse(number, line)
                .and_then(|entry| entry.map_or(Ok(()), |entry| signers.add(entry)))
                .map_err(|problem| TrustError { line: number, problem })?;
        }
        Ok(signers)
    }

    fn add(&mut self, entry: Entry) -> Result<(), Problem> {
        let lines = self.of_key.entry(entry.key.key_data().clone()).or_default();
        if let Some(first) = lines.first().map(|&index| &self.entries[index])
            && first.principal != entry.principal
        {
            return Err(Problem::KeyOfAnother { line: first.line, principal: first.principal.clone() });
        }
        lines.push(self.entries.len());
        self.keys.add(&entry.key);
        self.entries.push(entry);
        Ok(())
    }

    /// Whether this key may sign as this principal in this namespace at this moment (whole seconds). Where a key has several
    /// lines, one that allows it is enough.
    ///
    /// # Errors
    /// The reason, for the line that comes nearest.
    pub fn check(&self, principal: &str, key: &PublicKey, namespace: &str, at: DateTime<Utc>) -> Result<(), Distrust> {
        let lines: Vec<&Entry> = self.lines_of(key).collect();
        let listed = lines.first().ok_or(Distrust::UnknownKey)?.principal.as_str();
        if listed != principal {
            return Err(Distrust::OtherPrincipal { listed: listed.to_owned() });
        }
        let mut nearest = Distrust::Namespace;
        for entry in lines.iter().filter(|entry| entry.namespaces.iter().any(|name| name == namespace)) {
            match entry.check_time(at) {
                Ok(()) => return Ok(()),
                Err(distrust) => nearest = nearer(nearest, distrust),
            }
        }
        Err(nearest)
    }

    /// The principal whose key this is; `None` for an unknown key.
    pub fn principals_of(&self, key: &PublicKey) -> Option<&str> {
        self.lines_of(key).next().map(|entry| entry.principal.as_str())
    }

    /// Whether a principal has a line.
    pub fn names(&self, principal: &str) -> bool {
        self.entries.iter().any(|entry| entry.principal.as_str() == principal)
    }

    /// All lines with a key, in the file's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Their keys, to open signatures with.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    fn lines_of(&self, key: &PublicKey) -> impl Iterator<Item = &Entry> {
        self.of_key.get(key.key_data()).into_iter().flatten().map(|&index| &self.entries[index])
    }
}

impl Entry {
    fn check_time(&self, at: DateTime<Utc>) -> Result<(), Distrust> {
        let at = at.timestamp();
        match (self.valid_after, self.valid_before) {
            (Some(from), _) if at < from.timestamp() => Err(Distrust::NotYetValid { from }),
            (_, Some(end)) if at > end.timestamp() => Err(Distrust::Expired { at: end }),
            _ => Ok(()),
        }
    }
}

/// Of two refusals the one that tells more: the latest end, then the earliest beginning, then the rest.
fn nearer(one: Distrust, other: Distrust) -> Distrust {
    use Distrust::{Expired, NotYetValid};
    match (one, other) {
        (Expired { at: one }, Expired { at: other }) => Expired { at: one.max(other) },
        (NotYetValid { from: one }, NotYetValid { from: other }) => NotYetValid { from: one.min(other) },
        (expired @ Expired { .. }, _) => expired,
        (_, other) => other,
    }
}

/// The line that lets this key sign as this principal, ready to paste into `allowed_signers`. The key's comment stays out: it
/// often is an e-mail address. The principal must be a valid name.
pub fn line_to_add(principal: &str, key: &PublicKey) -> String {
    let quote = if principal.contains(' ') { "\"" } else { "" };
    let bare = PublicKey::from(key.key_data().clone()).to_string();
    format!("{quote}{principal}{quote} namespaces=\"{NAMESPACE_GIT},{NAMESPACE_RECORD}\" {bare}")
}

/// A stolen key: records behind a place in the log no longer count, whatever time they claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The key's fingerprint, `SHA256:…`.
    pub fingerprint: String,
    /// The last record that still counts.
    pub after: u64,
}

/// Whether the record with number `seq`, signed by the key with this fingerprint, is distrusted.
pub fn revoked(revocations: &[Revocation], fingerprint: &str, seq: u64) -> bool {
    revocations.iter().any(|revocation| revocation.fingerprint == fingerprint && seq > revocation.after)
}

fn shown(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
