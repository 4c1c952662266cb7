//! Private keys: PEM (RFC 7468), OpenSSH's and OpenPGP's armor, and the base64 of an armored key.
//!
//! A block is taken out from its first line to its last. Line ends may be real or written out as `\n`. Of a block that is cut
//! off at either end, the lines of base64 beside the remaining armor are taken. Armor without a key is left alone.

use super::spellings::base64_within;
use super::{Certainty, Finding, pattern};
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

const KIND: &str = "private-key";
const LABEL: &str = "[A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----";

/// No key and no cut-off piece of one is shorter, in bytes.
const SHORTEST: usize = 40;

/// What stands between two lines of a key: line ends, real or written out, indents, quotes and quotation marks.
const BREAK: &str = r#"(?-u:\\{1,4}[nrt]|[\s"'>|,+])"#;

/// One end of a line, real or written out, and what the next line may begin with.
const NEXT_LINE: &str = r"(?:(?:\\{1,4}r)?\\{1,4}n|\r?\n)[ \t>|]*";

static BEGIN: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("-----BEGIN {LABEL}")));

static END: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("^-----END {LABEL}")));

static LINE: LazyLock<Regex> = LazyLock::new(|| pattern("[A-Za-z0-9+/]{16}"));

static CUT_END: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"^(?:{BREAK}*(?:Proc-Type|DEK-Info|Version|Comment): ?[A-Za-z0-9,./ ()-]*)*(?:{BREAK}*[A-Za-z0-9+/=]{{16,}})+(?:{NEXT_LINE}[A-Za-z0-9+/=]+)?"
    ))
});

static CUT_START: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!("(?:[A-Za-z0-9+/=]{{16,}}{BREAK}+)+(?:[A-Za-z0-9+/=]+{BREAK}+)?-----END {LABEL}")));

static ENCODED: LazyLock<Regex> = LazyLock::new(|| {
    let labels = [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "DSA PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ];
    let starts = labels.map(|label| base64_within(format!("-----BEGIN {label}").as_bytes(), 0));
    let starts = starts.map(|start| regex::escape(&start)).join("|");
    pattern(&format!("(?:{starts})[A-Za-z0-9+/_-]*(?:{BREAK}+[A-Za-z0-9+/_-]{{40,}})*(?:{BREAK}+[A-Za-z0-9+/_-]+=)?={{0,2}}"))
});

/// Adds the private keys in a piece of text.
pub(super) fn find(text: &str, findings: &mut Vec<Finding<'_>>) {
    if text.len() < SHORTEST {
        return;
    }
    let mut found: Vec<Range<usize>> = Vec::new();
    if text.contains("-----") {
        let blocks = BEGIN.find_iter(text);
        found.extend(blocks.filter_map(|begin| block(text, begin.range())));
        found.extend(CUT_START.find_iter(text).map(|cut| cut.range()));
    }
    if text.contains("LS0tLS1") {
        found.extend(ENCODED.find_iter(text).map(|encoded| encoded.range()));
    }
    findings.extend(found.into_iter().map(|range| Finding { range, kind: KIND, certainty: Certainty::Format }));
}

/// The block that this first line begins, whole or cut off.
fn block(text: &str, begin: Range<usize>) -> Option<Range<usize>> {
    let rest = &text[begin.end..];
    let body = &rest[..rest.find("-----").unwrap_or(rest.len())];
    let length = match END.find(&rest[body.len()..]) {
        Some(end) => LINE.is_match(body).then_some(body.len() + end.end()),
        None => CUT_END.find(body).map(|cut| cut.end()),
    };
    length.map(|length| begin.start..begin.end + length)
}
