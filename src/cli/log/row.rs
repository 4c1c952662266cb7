//! What `log` lists: a deployment with its start and its end, or one other record.

use crate::cli::Format;
use crate::cli::outcome::Open;
use crate::cli::view;
use crate::core::finding::Finding;
use crate::core::record::shape::FieldType as _;
use crate::core::record::{CommitId, Digest, Kind, Person, Record, Status, Time};
use crate::core::time::{duration, readable};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// The most characters of a note that a table shows.
const LONGEST_NOTE: usize = 80;

/// One record as it was read.
#[derive(Debug)]
pub struct Part {
    /// The record.
    pub record: Record,
    /// The commit that holds it.
    pub commit: CommitId,
    /// Digest of its bytes.
    pub digest: Digest,
    /// What was found about it.
    pub findings: Vec<Finding>,
}

impl Part {
    /// Whether it verifies.
    pub fn is_sound(&self) -> bool {
        !self.findings.iter().any(Finding::is_error)
    }
}

/// One row: a deployment, or another record.
#[derive(Debug)]
pub struct Row {
    /// The newest record of it.
    pub newest: Part,
    /// Its start, where that is another record.
    pub start: Option<Part>,
    /// How it stands, where it has begun and not ended.
    pub open: Option<Open>,
    /// The verified annotations of it, the oldest first.
    pub annotations: Vec<Record>,
    /// The number of the start, as long as that has not been read.
    pub waits_for: Option<u64>,
}

impl Row {
    /// Its records: the newest, and the start.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.parts().map(|part| &part.record)
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.newest).chain(&self.start)
    }

    /// What was found about its records.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.parts().flat_map(|part| &part.findings)
    }

    /// The status of a deployment or rollback.
    pub fn status(&self) -> Option<Status> {
        let status = self.newest.record.status.filter(|_| self.newest.record.is_delivery());
        self.open.map(Open::status).or(status)
    }

    /// From when to when it was going on. What is no delivery has a moment: when it was recorded, or first told of.
    pub fn period(&self, now: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let record = &self.newest.record;
        let began = match record.started_at.filter(|_| record.is_delivery()) {
            Some(began) => began.utc(),
            None => told_at(record).utc(),
        };
        match self.open {
            Some(Open::Running) => (began, now.max(began)),
            _ => (began, record.finished_at.filter(|_| record.is_delivery()).map_or(began, Time::utc)),
        }
    }

    /// The first record of this row, and otherwise the newest, that has this.
    fn first<T>(&self, has: impl Fn(&Record) -> Option<T>) -> Option<T> {
        self.records().find_map(has)
    }

    /// Its cells; for spreadsheets with times, lengths and commits as programs read them.
    pub fn cells(&self, format: Format, now: DateTime<Utc>) -> Vec<String> {
        let record = &self.newest.record;
        let for_programs = format == Format::Csv;
        let took = record.started_at.zip(record.finished_at).map(|(start, end)| (end.utc() - start.utc()).num_seconds());
        let took = took.and_then(|seconds| u64::try_from(seconds).ok());
        let commit = self.first(|record| record.commit.as_ref().map(|commit| commit.sha.clone()));
        let began = self.period(now).0;
        vec![
            record.seq.to_string(),
            self.start.as_ref().map(|start| start.record.seq.to_string()).unwrap_or_default(),
            if for_programs { Time::new(began).to_string() } else { readable(began) },
            self.first(project).unwrap_or_default(),
            record.environment.as_ref().map(|environment| environment.name.to_string()).unwrap_or_default(),
            record.service.as_ref().map(ToString::to_string).unwrap_or_default(),
            self.first(|record| record.version.as_ref().map(ToString::to_string)).unwrap_or_default(),
            commit.map(|sha| if for_programs { sha.to_string() } else { sha.short().to_owned() }).unwrap_or_default(),
            self.result(),
            took.map(|seconds| if for_programs { seconds.to_string() } else { duration(seconds) }).unwrap_or_default(),
            self.first(person).unwrap_or_default(),
            self.first(|record| record.class.as_ref().map(|class| class.name.to_string())).unwrap_or_default(),
            self.first(approver).unwrap_or_default(),
            record.signer.to_string(),
            if for_programs { self.notes().join("\n") } else { short(&self.notes()) },
        ]
    }

    fn result(&self) -> String {
        let record = &self.newest.record;
        let result = match (self.open, record.kind) {
            (Some(open), _) => open.as_str().to_owned(),
            (None, Kind::Deployment | Kind::Rollback) => record.status.map(|status| status.to_string()).unwrap_or_default(),
            (None, Kind::Refusal) => "refused".to_owned(),
            (None, Kind::Approval) if record.withdrawn == Some(true) => "approval withdrawn".to_owned(),
            (None, Kind::Review) => {
                format!("review: {}", record.outcome.map(|outcome| outcome.to_string()).unwrap_or_default())
            }
            (None, kind) => kind.to_string(),
        };
        let result = if record.kind == Kind::Rollback { format!("rollback {result}") } else { result };
        match self.findings().find(|finding| finding.is_error()) {
            Some(error) => format!("{result}, NOT VERIFIED: {}", error.code),
            None => result,
        }
    }

    /// What its records and annotations say in words.
    fn notes(&self) -> Vec<String> {
        let late = self.newest.record.late.as_ref().map(|late| format!("recorded late, claimed at {}", late.at));
        self.first(words).into_iter().chain(late).chain(self.annotations.iter().map(view::annotation)).collect()
    }

    /// One object with both records.
    pub fn as_json(&self, has_trust_root: bool) -> Value {
        let mut value = json!({
            "commit": self.newest.commit.as_str(),
            "verified": has_trust_root && self.parts().all(Part::is_sound),
            "status": self.status().map(Status::as_str),
            "findings": self.findings().map(view::finding).collect::<Vec<_>>(),
            "record": self.newest.record.write(),
        });
        if let Some(start) = &self.start {
            value["start_commit"] = json!(start.commit.as_str());
            value["start"] = start.record.write();
        }
        if !self.annotations.is_empty() {
            value["annotations"] = self.annotations.iter().map(Record::write).collect();
        }
        value
    }
}

/// When something was recorded, or first told of where it had to wait.
pub fn told_at(record: &Record) -> Time {
    record.late.as_ref().map_or(record.recorded_at, |late| late.at)
}

fn project(record: &Record) -> Option<String> {
    let project = record.project.as_ref()?;
    project.path.as_ref().map(ToString::to_string).or_else(|| project.id.map(|id| format!("project {id}")))
}

fn person(record: &Record) -> Option<String> {
    let people = [&record.actor, &record.by, &record.approver, &record.reviewer];
    people.into_iter().find_map(Option::as_ref).and_then(Person::short).map(|name| name.to_string())
}

fn approver(record: &Record) -> Option<String> {
    match (&record.approval, &record.break_glass) {
        (Some(approval), _) => approval.approver.short().map(|name| name.to_string()),
        (None, Some(_)) => Some("no prior approval (break-glass)".to_owned()),
        (None, None) => None,
    }
}

/// What a record says beyond its columns; `None` where it says nothing.
fn words(record: &Record) -> Option<String> {
    let of = record.of.map(|seq| format!("of record {seq}"));
    let text = match record.kind {
        Kind::Deployment => record.change_note.as_ref().and_then(|note| note.summary.as_ref()).map(ToString::to_string),
        Kind::Rollback => view::rollback_reason(record),
        Kind::Refusal => Some(record.findings.iter().map(|finding| finding.message.to_string()).collect::<Vec<_>>().join("; ")),
        Kind::Approval | Kind::Recovery => record.reason.as_ref().map(ToString::to_string),
        Kind::Review | Kind::Resolution => record.note.as_ref().map(ToString::to_string),
        Kind::Annotation => Some(view::annotation_texts(record)),
        Kind::Access => Some(match record.who.len() {
            1 => "1 account can deploy".to_owned(),
            number => format!("{number} accounts can deploy"),
        }),
    };
    match (of, text.filter(|text| !text.is_empty())) {
        (Some(of), Some(text)) => Some(format!("{of}: {text}")),
        (of, text) => of.or(text),
    }
}

/// One line, cut to what a table shows.
fn short(notes: &[String]) -> String {
    let text = notes.iter().map(|note| note.lines().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("; ");
    match text.char_indices().nth(LONGEST_NOTE) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text,
    }
}
