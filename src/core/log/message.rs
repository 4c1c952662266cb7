//! The message of a log commit: a subject for people, and trailers that tie the commit to its files.
//!
//! ```text
//! Record 124: 1.4.2 to production, success
//!
//! One record of a deployment log …
//!
//! Record: 124 sha256:…
//! State: sha256:…
//! Checkpoint: deploy-record LOG-ID 124 sha256:…
//! ```
//!
//! GitLab reads references such as `#12`, `!12` and `@name` in messages and would notify people, so these signs are written
//! in their full-width forms.

use crate::core::checkpoint::Checkpoint;
use crate::core::escape::terminal;
use crate::core::record::{Digest, Kind, Record};

/// What each log commit says to those who come across it in a list of commits. Git stores a commit as what is new in it only
/// where that is less than half of it: with these lines it is, which saves a tenth of what a record takes.
const ABOUT: &str = "\
One record of a deployment log, signed and linked to the one before it.
README.md shows the newest ones, and how to check any of them by hand;
`deploy-record verify` checks the whole log.";

/// What the trailers of a log commit say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailers {
    /// The record's number.
    pub seq: u64,
    /// Digest of `record.json`.
    pub record: Digest,
    /// Digest of `state.json`.
    pub state: Digest,
    /// The record's checkpoint.
    pub checkpoint: Checkpoint,
}

/// The message for a record and the files that go with it.
pub fn compose(record: &Record, digest: Digest, state: Digest) -> String {
    let checkpoint = Checkpoint { log: record.log.clone(), seq: record.seq, sha256: digest };
    format!(
        "Record {}: {}\n\n{ABOUT}\n\nRecord: {} {digest}\nState: {state}\nCheckpoint: {checkpoint}\n",
        record.seq,
        defuse(&summary(record)),
        record.seq,
    )
}

/// What a record says, in a few words on one line: `1.4.2 to production, success`.
pub fn summary(record: &Record) -> String {
    let environment = record.environment.as_ref().map(|environment| environment.name.as_str()).unwrap_or_default();
    let service = record.service.as_ref().map(|service| format!("{service} ")).unwrap_or_default();
    let version = record.version.as_ref().map(|version| version.as_str()).unwrap_or_default();
    let version: String = version.chars().take(80).collect();
    let of = record.of.map(|seq| format!(" of record {seq}")).unwrap_or_default();
    match record.kind {
        Kind::Deployment | Kind::Rollback => {
            let back = if record.kind == Kind::Rollback { "back " } else { "" };
            let status = record.status.map(|status| status.to_string()).unwrap_or_default();
            format!("{service}{version} {back}to {environment}, {status}")
        }
        Kind::Refusal => format!("{service}{version} to {environment} refused"),
        Kind::Approval if record.withdrawn == Some(true) => format!("approval for {service}{environment} withdrawn"),
        Kind::Approval => format!("approval for {service}{environment}"),
        Kind::Access => format!("who can deploy to {environment}"),
        Kind::Review | Kind::Resolution | Kind::Annotation | Kind::Recovery => format!("{}{of}", record.kind),
    }
}

/// Whether a commit's subject is a recovery's: only its record tells for certain.
pub fn is_recovery(message: &[u8]) -> bool {
    let subject = message.split(|&byte| byte == b'\n').next().unwrap_or_default();
    subject.starts_with(b"Record ") && subject.ends_with(b": recovery")
}

/// Reads the trailers: the last paragraph, each key once.
///
/// # Errors
/// Says which trailer is missing, doubled or wrong.
pub fn trailers(message: &str) -> Result<Trailers, String> {
    let paragraph = message.trim_end_matches('\n').rsplit("\n\n").next().unwrap_or_default();
    let value = |key: &str| -> Result<Option<&str>, String> {
        let mut values = paragraph.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(format!("the trailer `{key}` is there twice")),
            (value, None) => Ok(value),
        }
    };
    let required = |key: &str| value(key)?.ok_or_else(|| format!("the trailer `{key}` is missing"));
    let wrong = |key: &str, error: String| format!("the trailer `{key}`: {error}");
    let record = required("Record")?;
    let (seq, record) = record.split_once(' ').ok_or_else(|| format!("the trailer `Record` is `{}`", record.escape_debug()))?;
    Ok(Trailers {
        seq: seq.parse().map_err(|_| wrong("Record", "its number is none".to_owned()))?,
        record: record.parse().map_err(|error| wrong("Record", error))?,
        state: required("State")?.parse().map_err(|error| wrong("State", error))?,
        checkpoint: required("Checkpoint")?.parse().map_err(|error| wrong("Checkpoint", error))?,
    })
}

/// Characters that act without being seen become visible, and GitLab's signs full-width.
fn defuse(text: &str) -> String {
    let full_width = |character| match character {
        '#' => '＃',
        '!' => '！',
        '@' => '＠',
        '&' => '＆',
        other => other,
    };
    terminal(text).chars().map(full_width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    #[test]
    fn trailers_read_back() {
        let mut record = crate::core::record::tests::example(Kind::Deployment);
        record.version = crate::core::record::Line::clean("1.0 closes #12, see !3 @all & co \u{202e}");
        let message = compose(&record, digest("r"), digest("s"));
        let subject = message.lines().next().expect("subject");
        assert!(!subject.contains(['#', '!', '@', '&', '\u{202e}']), "{subject}");
        let trailers = trailers(&message).expect("trailers");
        assert_eq!((trailers.seq, trailers.record, trailers.state), (record.seq, digest("r"), digest("s")));
        assert_eq!(trailers.checkpoint.sha256, digest("r"));
    }

    #[test]
    fn forged_and_damaged_trailers_are_refused() {
        let checkpoint = format!("deploy-record {} 1 {}", "0".repeat(32), digest("r"));
        let good = format!("Record 1: x\n\nRecord: 1 {}\nState: {}\nCheckpoint: {checkpoint}\n", digest("r"), digest("s"));
        assert!(trailers(&good).is_ok());
        for (wrong, why) in [
            (good.replace("State: ", "Stat: "), "`State` is missing"),
            (good.replace("Checkpoint: ", "Check: "), "`Checkpoint` is missing"),
            (format!("{good}Record: 2 {}\n", digest("x")), "`Record` is there twice"),
            (good.replace("Record: 1 ", "Record: "), "`Record` is"),
            (good.replace("Record: 1", "Record: -1"), "its number is none"),
            (good.replace("sha256:", "sha256"), "expected `sha256:`"),
            (format!("{good}\nwords"), "missing"),
            (String::new(), "missing"),
        ] {
            let error = trailers(&wrong).expect_err(&wrong);
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
