//! Checkpoints: one line that names a log and one of its records, to be kept somewhere else.
//!
//! `deploy-record LOG-ID 124 sha256:…` proves later that the log still holds that record, and with it all before it, unchanged.

use crate::core::record::{Digest, Id};
use std::fmt;
use std::str::FromStr;

/// A log, a record's number and the digest of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's id.
    pub log: Id,
    /// The record's number.
    pub seq: u64,
    /// Digest of the record's bytes.
    pub sha256: Digest,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "deploy-record {} {} {}", self.log, self.seq, self.sha256)
    }
}

impl FromStr for Checkpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!("expected a line like `deploy-record LOG-ID 124 sha256:…`, found `{}`: {what}", text.escape_debug())
        };
        let words: Vec<_> = text.split_whitespace().collect();
        // as it is printed, or as the trailer of a commit has it
        let words =
            if words.first().is_some_and(|word| word.eq_ignore_ascii_case("checkpoint:")) { &words[1..] } else { &words };
        let ["deploy-record", log, seq, sha256] = *words else {
            return Err(wrong("it has other words"));
        };
        Ok(Checkpoint {
            log: log.parse().map_err(|error: String| wrong(&format!("the log's id: {error}")))?,
            seq: seq.parse().map_err(|_| wrong("the record's number is none"))?,
            sha256: sha256.parse().map_err(|error: String| wrong(&error))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_nothing_else_does() {
        let line = format!("deploy-record {} 124 sha256:{}", "a".repeat(32), "b".repeat(64));
        let checkpoint: Checkpoint = line.parse().expect("checkpoint");
        assert_eq!(checkpoint.to_string(), line);
        assert_eq!(format!("  {line}\n").parse(), Ok(checkpoint.clone()));
        assert_eq!(format!("Checkpoint: {line}").parse(), Ok(checkpoint));
        for wrong in
            ["", "deploy-record", &line[1..], &line[..line.len() - 1], &line.replace("124", "-1"), &format!("{line} x")]
        {
            assert!(wrong.parse::<Checkpoint>().is_err(), "{wrong}");
        }
    }
}
