//! Passwords before the host of a URL (RFC 3986 § 3.2.1), of any scheme, percent-encoded or not.
//!
//! Only the password goes; where there is none, or GitHub's `x-oauth-basic`, a user that looks like a token goes instead. A port,
//! an unexpanded variable and `git@host:path` are no passwords. Credentials in a URL's query are found by `rules`.

use super::shape::{is_placeholder, is_random};
use super::{Certainty, Finding, pattern};
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

const KIND: &str = "url-password";

/// How far a password is followed over characters that no valid URL has there, in bytes.
const FARTHEST: usize = 200;

/// `://`, also with the slashes escaped as some JSON writers do.
static SEPARATOR: LazyLock<Regex> = LazyLock::new(|| pattern(r":(?:\\?/){2}"));

/// Adds the passwords in a piece of text's URLs.
pub(super) fn find(text: &str, findings: &mut Vec<Finding<'_>>) {
    for separator in SEPARATOR.find_iter(text) {
        let rest = &text[separator.end()..];
        let Some(range) = credential(&text[..separator.start()], rest) else {
            continue;
        };
        findings.push(Finding {
            range: separator.end() + range.start..separator.end() + range.end,
            kind: KIND,
            certainty: Certainty::Place,
        });
    }
}

/// The password, or the user that is one, at the start of `rest`; `before` ends in the scheme.
fn credential(before: &str, rest: &str) -> Option<Range<usize>> {
    let user = &rest[..rest.find(ends_user).unwrap_or(rest.len())];
    let after_user = &rest[user.len()..];
    if after_user.starts_with('@') {
        return (is_web(before) && is_long_token(user)).then_some(0..user.len());
    }
    let after_colon = after_user.strip_prefix(':')?;
    let password = password(after_colon)?;
    if password.is_empty() || password == "x-oauth-basic" {
        return (user.len() >= 16 && is_random(user)).then_some(0..user.len());
    }
    let start = user.len() + 1;
    (!is_placeholder(password)).then_some(start..start + password.len())
}

/// What stands before the `@`.
fn password(rest: &str) -> Option<&str> {
    if is_port(rest) {
        return None;
    }
    let valid = &rest[..rest.find(ends_authority).unwrap_or(rest.len())];
    if let Some(at) = valid.rfind('@') {
        return Some(&rest[..at]);
    }
    let at = rest.bytes().take(FARTHEST).position(|byte| byte == b'@')?;
    let password = &rest[..at];
    if password.contains(ends_text) {
        return None;
    }
    // A path such as `/@scope` follows a host and its port, whatever stands for the port.
    (!password.ends_with('/')).then_some(password)
}

fn is_port(rest: &str) -> bool {
    let digits = rest.bytes().take(6).take_while(u8::is_ascii_digit).count();
    let next = rest[digits..].chars().next();
    digits <= 5 && next.is_none_or(|next| next == ',' || ends_authority(next))
}

fn ends_user(character: char) -> bool {
    matches!(character, ':' | '@' | '[' | ']') || ends_authority(character)
}

fn ends_authority(character: char) -> bool {
    matches!(character, '/' | '?' | '#' | '\'' | '\\') || ends_text(character)
}

fn ends_text(character: char) -> bool {
    matches!(character, '"' | '`' | '<' | '>') || character.is_whitespace() || character.is_control()
}

fn is_web(before: &str) -> bool {
    let ends_in = |scheme: &str| {
        let start = before.len().checked_sub(scheme.len());
        let end = start.and_then(|start| before.get(start..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(scheme))
    };
    ends_in("http") || ends_in("https")
}

fn is_long_token(user: &str) -> bool {
    let digit = user.bytes().any(|byte| byte.is_ascii_digit());
    let letter = user.bytes().any(|byte| byte.is_ascii_alphabetic());
    let unbroken = user.bytes().all(|byte| byte.is_ascii_alphanumeric());
    user.len() >= 32 && unbroken && digit && letter
}
