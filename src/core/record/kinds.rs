//! Which kind of record has which fields: the second half of the table.

use super::fields::{Kind, Record, Status};
use super::shape::FieldError;

/// The fields of one kind, besides those that every record has.
#[derive(Debug)]
pub struct KindRule {
    /// The kind.
    pub kind: Kind,
    /// Fields without which a record of this kind is wrong.
    pub required: &'static [&'static str],
    /// Fields that it may have.
    pub allowed: &'static [&'static str],
}

/// Fields that every record has, or, for `prev_here` and `late`, may have.
pub const ALWAYS: &[&str] =
    &["schema", "log", "seq", "prev", "prev_here", "id", "kind", "recorded_at", "signer", "tool", "late"];

const DELIVERY: &[&str] = &[
    "service",
    "project",
    "commit",
    "actor",
    "artifacts",
    "previous",
    "changes",
    "checks",
    "job",
    "finished_at",
    "finishes",
    "finishes_id",
    "class",
    "approval",
    "break_glass",
    "overrides",
    "change_note",
    "follow_up",
    "policy",
    "imported",
    "findings",
];

const REFUSAL: &[&str] = &[
    "service",
    "project",
    "commit",
    "actor",
    "artifacts",
    "previous",
    "changes",
    "checks",
    "job",
    "status",
    "started_at",
    "finished_at",
    "class",
    "approval",
    "break_glass",
    "overrides",
    "change_note",
    "follow_up",
    "policy",
];

/// The table, one entry a kind.
pub const KINDS: &[KindRule] = &[
    KindRule {
        kind: Kind::Deployment,
        required: &["environment", "version", "status", "started_at", "provenance"],
        allowed: DELIVERY,
    },
    KindRule {
        kind: Kind::Rollback,
        required: &["environment", "version", "status", "started_at", "provenance", "rollback"],
        allowed: DELIVERY,
    },
    KindRule { kind: Kind::Refusal, required: &["environment", "version", "provenance", "findings"], allowed: REFUSAL },
    KindRule {
        kind: Kind::Approval,
        required: &["environment", "commit", "approver"],
        allowed: &["service", "project", "job", "provenance", "reason", "follow_up", "expires_at", "withdrawn"],
    },
    KindRule {
        kind: Kind::Review,
        required: &["of", "reviewer", "outcome"],
        allowed: &["service", "project", "environment", "job", "provenance", "note"],
    },
    KindRule {
        kind: Kind::Resolution,
        required: &["of", "by", "note"],
        allowed: &["service", "project", "environment", "job", "provenance"],
    },
    KindRule {
        kind: Kind::Annotation,
        required: &["of", "by"],
        allowed: &["service", "project", "environment", "job", "provenance", "note", "rollback"],
    },
    KindRule {
        kind: Kind::Access,
        required: &["environment", "who"],
        allowed: &["service", "project", "job", "provenance", "since", "added", "removed", "approved_by"],
    },
    KindRule { kind: Kind::Recovery, required: &["reason", "by"], allowed: &["job", "provenance", "skipped", "lost"] },
];

/// The rule for a kind.
pub fn rule(kind: Kind) -> &'static KindRule {
    // a test holds the table against `Kind::ALL`, so that the position exists and is the right one
    &KINDS[kind as usize]
}

/// Checks what no single field can: the kind's fields are there, no others are, and they fit together.
///
/// # Errors
/// Names the field.
pub fn check(record: &Record) -> Result<(), FieldError> {
    let rule = rule(record.kind);
    let present = record.present();
    if let Some(missing) = rule.required.iter().find(|name| !present.contains(name)) {
        return Err(FieldError::new(format!("is missing; a record of kind `{}` has it", record.kind)).within(*missing));
    }
    let known = |name: &&str| [ALWAYS, rule.required, rule.allowed].iter().any(|names| names.contains(name));
    if let Some(extra) = present.into_iter().find(|name| !known(name)) {
        return Err(FieldError::new(format!("has no place in a record of kind `{}`", record.kind)).within(extra));
    }
    check_delivery(record)?;
    check_counts(record)
}

fn check_delivery(record: &Record) -> Result<(), FieldError> {
    let wrong = |field: &str, problem: &str| Err(FieldError::new(problem).within(field));
    let ended = matches!(record.status, Some(Status::Success | Status::Failed | Status::Canceled));
    if record.status == Some(Status::Running)
        && (record.finished_at.is_some() || record.finishes.is_some() || record.finishes_id.is_some())
    {
        return wrong("status", "is `running`, yet the record tells of an end");
    }
    if ended && record.finished_at.is_none() {
        return wrong("finished_at", "is missing in a deployment that has ended");
    }
    if record.started_at.zip(record.finished_at).is_some_and(|(started, finished)| finished < started) {
        return wrong("finished_at", "is before `started_at`");
    }
    Ok(())
}

fn check_counts(record: &Record) -> Result<(), FieldError> {
    let earlier = |field: &str, seq: Option<u64>| match seq {
        Some(seq) if seq == 0 || seq >= record.seq => {
            Err(FieldError::new(format!("points at record {seq}, which is no earlier one")).within(field))
        }
        _ => Ok(()),
    };
    if record.seq == 0 {
        return Err(FieldError::new("is 0; records count from 1").within("seq"));
    }
    earlier("prev_here", record.prev_here.as_ref().map(|pointer| pointer.seq))?;
    earlier("finishes", record.finishes)?;
    earlier("of", record.of)?;
    earlier("since", record.since)
}
