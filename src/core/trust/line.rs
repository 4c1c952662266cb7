//! One line of `allowed_signers`, from left to right: principal, options, key, comment.

use super::{Entry, Problem};
use crate::core::record::Name;
use crate::core::seal::{self, NAMESPACE_GIT, NAMESPACE_RECORD, SealError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDate, Utc};
use ssh_key::PublicKey;

const BLANKS: [char; 2] = [' ', '\t'];
const NAMESPACES: &str = "namespaces";
const VALID_AFTER: &str = "valid-after";
const VALID_BEFORE: &str = "valid-before";
/// How an unencrypted or encrypted OpenSSH private key begins in base64, and how its armor begins in base64.
const PRIVATE_KEY_BEGINNINGS: [&str; 2] = ["b3BlbnNzaC1rZXk", "LS0tLS1CRUdJTi"];

/// Reads the line with this number, without its `\n`; `None` for a comment or blank line.
pub(super) fn parse(number: usize, line: &str) -> Result<Option<Entry>, Problem> {
    if number == 1 && line.starts_with('\u{feff}') {
        return Err(Problem::ByteOrderMark);
    }
    let line = line.strip_suffix('\r').unwrap_or(line).trim_matches(BLANKS);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if line.contains("PRIVATE KEY-----") || PRIVATE_KEY_BEGINNINGS.iter().any(|start| line.contains(start)) {
        return Err(Problem::PrivateKey);
    }
    let (principal, rest) = read_principal(line)?;
    let (options, rest) = read_options(rest)?;
    let key = read_key(rest)?;
    let namespaces = options.namespaces.ok_or(Problem::NoNamespaces)?;
    if let (Some(from), Some(end)) = (options.valid_after, options.valid_before)
        && end <= from
    {
        return Err(Problem::NeverValid);
    }
    Ok(Some(Entry {
        line: number,
        principal,
        namespaces,
        valid_after: options.valid_after,
        valid_before: options.valid_before,
        key,
    }))
}

fn read_principal(line: &str) -> Result<(String, &str), Problem> {
    let (principal, rest) = match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or(Problem::OpenQuote)?,
        None => line.split_once(BLANKS).unwrap_or((line, "")),
    };
    if is_key_type(principal) && rest.trim_start_matches(BLANKS).starts_with("AAAA") {
        return Err(Problem::NoPrincipal);
    }
    if principal.contains(['*', '?', '!']) {
        return Err(Problem::Wildcard);
    }
    if principal.contains(',') {
        return Err(Problem::SeveralPrincipals);
    }
    Name::new(principal).map_err(Problem::Principal)?;
    Ok((principal.to_owned(), rest.trim_start_matches(BLANKS)))
}

#[derive(Default)]
struct Options {
    namespaces: Option<Vec<String>>,
    valid_after: Option<DateTime<Utc>>,
    valid_before: Option<DateTime<Utc>>,
}

fn read_options(text: &str) -> Result<(Options, &str), Problem> {
    let mut options = Options::default();
    let first = text.split(BLANKS).next().unwrap_or_default();
    if first.is_empty() {
        return Err(Problem::NoKey);
    }
    if is_key_type(first) {
        return Ok((options, text));
    }
    let mut rest = text;
    loop {
        let end = rest.find(['=', ',', ' ', '\t']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = options.read_one(name, after)?;
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok((options, rest.trim_start_matches(BLANKS))),
        }
    }
}

impl Options {
    /// Reads the value of the option with this name off the front of `after`; the rest.
    fn read_one<'a>(&mut self, name: &str, after: &'a str) -> Result<&'a str, Problem> {
        match name {
            "namespaces" => {
                let (value, rest) = quoted_value(NAMESPACES, after)?;
                set_once(&mut self.namespaces, NAMESPACES, read_namespaces(value)?)?;
                Ok(rest)
            }
            "valid-after" => {
                let (value, rest) = quoted_value(VALID_AFTER, after)?;
                set_once(&mut self.valid_after, VALID_AFTER, read_time(VALID_AFTER, value)?)?;
                Ok(rest)
            }
            "valid-before" => {
                let (value, rest) = quoted_value(VALID_BEFORE, after)?;
                set_once(&mut self.valid_before, VALID_BEFORE, read_time(VALID_BEFORE, value)?)?;
                Ok(rest)
            }
            "cert-authority" => Err(Problem::CertAuthority),
            other => Err(Problem::UnknownOption(shown_option(other))),
        }
    }
}

fn set_once<T>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), Problem> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Problem::OptionTwice(name)),
    }
}

fn quoted_value<'a>(name: &'static str, after: &'a str) -> Result<(&'a str, &'a str), Problem> {
    let value = after.strip_prefix("=\"").ok_or(Problem::NotQuoted(name))?;
    let (value, rest) = value.split_once('"').ok_or(Problem::OpenQuote)?;
    if !rest.is_empty() && !rest.starts_with([',', ' ', '\t']) {
        return Err(Problem::NotQuoted(name));
    }
    Ok((value, rest))
}

fn read_namespaces(value: &str) -> Result<Vec<String>, Problem> {
    let is_literal =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"*?!\\".contains(&byte));
    let names: Vec<String> = value.split(',').map(str::to_owned).collect();
    if !names.iter().all(|name| is_literal(name)) {
        return Err(Problem::Namespaces);
    }
    let lacking = [NAMESPACE_GIT, NAMESPACE_RECORD].into_iter().find(|needed| !names.iter().any(|name| name == needed));
    lacking.map_or(Ok(names), |name| Err(Problem::NamespaceLacking(name)))
}

/// Reads `YYYYMMDD[HHMM[SS]]Z`. Not before 1970-01-02, since ssh-keygen takes no time up to second 0.
fn read_time(name: &'static str, value: &str) -> Result<DateTime<Utc>, Problem> {
    let digits = value.strip_suffix('Z').unwrap_or(value);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(digits.len(), 8 | 12 | 14) {
        return Err(Problem::Time(name));
    }
    if digits == value {
        return Err(Problem::NoZone(name));
    }
    let part = |from: usize, to: usize| digits.get(from..to).map_or(Ok(0), str::parse::<u32>);
    let read = || {
        let (year, month, day) = (part(0, 4).ok()?, part(4, 6).ok()?, part(6, 8).ok()?);
        let (hour, minute, second) = (part(8, 10).ok()?, part(10, 12).ok()?, part(12, 14).ok()?);
        NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?.and_hms_opt(hour, minute, second)
    };
    let time = read().ok_or(Problem::Time(name))?.and_utc();
    if time.timestamp() <= 0 {
        return Err(Problem::Time(name));
    }
    Ok(time)
}

fn read_key(text: &str) -> Result<PublicKey, Problem> {
    let (kind, rest) = text.split_once(BLANKS).unwrap_or((text, ""));
    let rest = rest.trim_start_matches(BLANKS);
    let (base64, comment) = rest.split_once(BLANKS).unwrap_or((rest, ""));
    if kind.is_empty() || base64.is_empty() {
        return Err(Problem::NoKey);
    }
    if !is_key_type(kind) {
        return Err(Problem::BrokenKey);
    }
    if !seal::is_supported_key_type(kind.as_bytes()) {
        return Err(Problem::UnsupportedKey(format!("key type `{kind}`")));
    }
    let blob = STANDARD.decode(base64).map_err(|_| Problem::BrokenKey)?;
    let mut key = seal::public_key(&blob).map_err(|error| match error {
        SealError::Unsupported(what) => Problem::UnsupportedKey(what),
        _ => Problem::BrokenKey,
    })?;
    if key.algorithm().as_str() != kind {
        return Err(Problem::BrokenKey);
    }
    key.set_comment(comment.trim_matches(BLANKS));
    Ok(key)
}

/// Whether this is the name of a kind of SSH key, supported or not (RFC 4253, RFC 5656, RFC 8709, PROTOCOL.u2f).
fn is_key_type(word: &str) -> bool {
    let known = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "rsa-sha2-"].iter().any(|start| word.starts_with(start));
    known && word.len() <= 64 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-@.".contains(&byte))
}

/// An option's name, where it may be shown: what may be a piece of a key stays out of messages.
fn shown_option(name: &str) -> String {
    let harmless = (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if harmless { format!("`{name}`") } else { "before the key".to_owned() }
}
