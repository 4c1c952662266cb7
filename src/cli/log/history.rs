//! From commits, the newest first, to rows: a start and its end become one, and annotations come beside what they are about.

use super::row::{Part, Row};
use crate::cli::outcome::Begun;
use crate::core::attempt::Attempt;
use crate::core::finding::{Code, Finding};
use crate::core::log::entry::{self, Inspected, RawEntry, Trust};
use crate::core::record::{CommitId, Digest, Kind, Record, Status, Time};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// The history as far as it was read.
pub struct History<'a> {
    trust: &'a Trust,
    now: DateTime<Utc>,
    /// Rows that are still to be told, the newest first.
    pending: VecDeque<Row>,
    /// Ends whose start was not met yet, by its number; the newest first.
    ends: BTreeMap<u64, Vec<End>>,
    annotations: HashMap<u64, Vec<Record>>,
    begun: Begun,
    /// What the next older record must be.
    expected: Option<Expected>,
    /// The commits that recoveries went on over.
    passed: HashSet<CommitId>,
    /// Number of commits that were read.
    pub read: u64,
    /// When the oldest verified record that was read was recorded.
    pub since: Option<Time>,
    /// Whether something was met that is of a later version.
    pub has_newer: bool,
    /// Whether something was met that does not verify.
    pub has_damage: bool,
}

/// An end that looks for its start.
struct End {
    seq: u64,
    attempt: Attempt,
}

/// What a record says of the one before it.
struct Expected {
    seq: u64,
    digest: Digest,
    latest: Time,
}

impl<'a> History<'a> {
    /// Nothing was read yet.
    pub fn new(trust: &'a Trust, now: DateTime<Utc>) -> Self {
        History {
            trust,
            now,
            pending: VecDeque::new(),
            ends: BTreeMap::new(),
            annotations: HashMap::new(),
            begun: Begun::default(),
            expected: None,
            passed: HashSet::new(),
            read: 0,
            since: None,
            has_newer: false,
            has_damage: false,
        }
    }

    /// Takes the next older commit; gives what is wrong with it, in words.
    pub fn take(&mut self, entry: &RawEntry) -> Vec<String> {
        self.read += 1;
        let inspected = entry::inspect(entry, self.trust, 0);
        let is_passed = entry.parents.len() < 2 && self.passed.contains(&entry.commit);
        if is_passed && !self.counts(&inspected) {
            return Vec::new();
        }
        let expected = self.expected.take();
        let is_newer = inspected.findings.iter().any(|finding| finding.code == Code::RecordNewer);
        let Some(record) = inspected.record else {
            (self.has_newer, self.has_damage) = (self.has_newer || is_newer, self.has_damage || !is_newer);
            let words = if is_newer { "is of a later version: update deploy-record" } else { "holds no readable record" };
            return vec![format!("commit {} {words}; `deploy-record verify` tells more", entry.commit.short())];
        };
        let mut part =
            Part { record: *record, commit: entry.commit.clone(), digest: inspected.digest, findings: inspected.findings };
        if is_passed {
            part.findings.retain(|finding| !finding.code.is_of_commit());
        }
        let mut warnings = Vec::new();
        let seq = part.record.seq;
        if let Some(problem) = expected.and_then(|expected| expected.problem(&part)) {
            self.has_damage = true;
            warnings.push(format!("record {seq} {problem}; see `deploy-record verify`"));
        }
        if let Some(error) = part.findings.iter().find(|finding| finding.is_error()) {
            self.has_damage = true;
            warnings.push(format!("record {seq} does not verify: {}", error.code));
        }
        if warnings.is_empty() {
            self.passed.extend(part.record.skipped.iter().cloned());
        }
        let before = seq.checked_sub(1).filter(|before| *before > 0);
        self.expected =
            before.map(|before| Expected { seq: before, digest: part.record.prev, latest: part.record.recorded_at });
        self.place(part);
        self.give_up_on_ends_after(seq);
        warnings
    }

    /// Whether the record of a commit that was passed over is a link of the chain all the same.
    fn counts(&self, inspected: &Inspected) -> bool {
        let is_expected = |expected: &Expected| {
            inspected.record.as_ref().is_some_and(|record| record.seq == expected.seq) && inspected.digest == expected.digest
        };
        let is_wrong = |finding: &Finding| finding.is_error() && !finding.code.is_of_commit();
        !inspected.findings.iter().any(is_wrong) && self.expected.as_ref().is_some_and(is_expected)
    }

    /// Nothing older is there.
    pub fn end(&mut self) {
        self.give_up_on_ends_after(0);
    }

    /// The next row that is complete, the newest first. Of those that wait for their start, the ones that `is_out` are told as
    /// they are, since nobody will see them.
    pub fn next_row(&mut self, is_out: impl Fn(&Row) -> bool) -> Option<Row> {
        let first = self.pending.front()?;
        if first.waits_for.is_some() && !is_out(first) {
            return None;
        }
        let mut row = self.pending.pop_front()?;
        let numbers: Vec<_> = row.records().map(|record| record.seq).collect();
        row.annotations = numbers.iter().filter_map(|seq| self.annotations.remove(seq)).flatten().collect();
        row.annotations.sort_by_key(|annotation| annotation.seq);
        Some(row)
    }

    /// Whether a row still waits that somebody may see.
    pub fn is_waiting(&self, is_out: impl Fn(&Row) -> bool) -> bool {
        self.pending.iter().any(|row| row.waits_for.is_some() && !is_out(row))
    }

    /// What does not verify says nothing about other records.
    fn place(&mut self, part: Part) {
        if !part.is_sound() {
            return self.push(part);
        }
        let record = &part.record;
        self.since = Some(record.recorded_at);
        if let (Kind::Annotation, Some(of)) = (record.kind, record.of) {
            self.annotations.entry(of).or_default().push(record.clone());
        }
        if let Some(start) = record.finishes.filter(|_| record.is_delivery()) {
            self.ends.entry(start).or_default().push(End { seq: record.seq, attempt: Attempt::of(record) });
            self.push(part);
            return self.expect_start(start);
        }
        if record.is_delivery() && record.status == Some(Status::Running) {
            return self.place_start(part);
        }
        self.begun.note(record);
        self.push(part);
    }

    fn push(&mut self, newest: Part) {
        self.pending.push_back(Row { newest, start: None, open: None, annotations: Vec::new(), waits_for: None });
    }

    fn expect_start(&mut self, start: u64) {
        if let Some(row) = self.pending.back_mut() {
            row.waits_for = Some(start);
        }
    }

    fn place_start(&mut self, start: Part) {
        let attempt = Attempt::of(&start.record);
        let seq = start.record.seq;
        let (mut own, others): (Vec<_>, Vec<_>) =
            self.ends.remove(&seq).unwrap_or_default().into_iter().partition(|end| end.attempt == attempt);
        for end in others {
            self.release(
                end.seq,
                Some((Code::FinishUnpaired, format!("it closes record {seq}, which is another deployment's"))),
            );
        }
        // only the first end counts, and that is the last one met
        let first = own.pop();
        for end in own {
            self.release(end.seq, Some((Code::FinishTwice, format!("it closes record {seq}, which was closed before"))));
        }
        let open = attempt.place.zip(attempt.started_at).map(|(place, at)| self.begun.outcome(&place, at, self.now));
        self.begun.note(&start.record);
        match first {
            Some(end) => {
                if let Some(row) = self.release(end.seq, None) {
                    row.start = Some(start);
                }
            }
            None => {
                self.push(start);
                if let Some(row) = self.pending.back_mut() {
                    row.open = open;
                }
            }
        }
    }

    /// Ends whose start should have come by now have none, unless it is a record of a later version.
    fn give_up_on_ends_after(&mut self, seq: u64) {
        for (start, ends) in self.ends.split_off(&seq) {
            let problem = (Code::FinishUnpaired, format!("it closes record {start}, which is no start"));
            let problem = (!self.has_newer).then_some(problem);
            for end in ends {
                self.release(end.seq, problem.clone());
            }
        }
    }

    /// Lets a row wait no longer.
    fn release(&mut self, seq: u64, problem: Option<(Code, String)>) -> Option<&mut Row> {
        self.has_damage |= problem.is_some();
        let row = self.pending.iter_mut().rev().find(|row| row.newest.record.seq == seq && row.waits_for.is_some())?;
        row.waits_for = None;
        if let Some((code, message)) = problem {
            let commit = Some(row.newest.commit.clone());
            row.newest.findings.push(Finding { code, seq: Some(seq), commit, message });
        }
        Some(row)
    }
}

impl Expected {
    /// What is wrong with this as the record before.
    fn problem(&self, part: &Part) -> Option<&'static str> {
        if (self.seq, self.digest) != (part.record.seq, part.digest) {
            return Some("is not the one that the next names");
        }
        (part.record.recorded_at > self.latest).then_some("is younger than the next")
    }
}
