//! What somebody has to come back to: holds, reviews, missing reasons.

use super::Status;
use super::picture::is_wanted;
use crate::cli::Format;
use crate::cli::context::Context;
use crate::core::escape::{markdown_inline, terminal};
use crate::core::record::shape::FieldType as _;
use crate::core::record::{Line, Name};
use crate::core::state::{Mark, OpenReview, State};
use crate::core::time::{ago, readable};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// The debts, one line each, the ones that stop something first.
pub fn lines(args: &Status, ctx: &Context, state: &State, at: DateTime<Utc>) -> Vec<String> {
    let since = |mark: &Mark| format!("{}, {}", readable(mark.at.utc()), ago(mark.at.utc(), at));
    let holds = state.holds.iter().filter(|hold| wants_mark(args, hold)).map(|hold| {
        let place = place(state, (hold.project, hold.path.as_ref()), hold.service.as_ref(), &hold.environment);
        format!(
            "hold: nothing goes forward in {place} since the rollback to {}, record {}, {}",
            hold.version,
            hold.seq,
            since(hold)
        )
    });
    let reviews = state.reviews.iter().filter(|review| wants_review(args, review)).map(|review| review_line(state, review, at));
    let missing = state.missing_reasons.iter().filter(|missing| wants_mark(args, missing)).map(|missing| {
        let place = place(state, (missing.project, missing.path.as_ref()), missing.service.as_ref(), &missing.environment);
        let next = ctx.command_line(&format!("annotate {} --reason TEXT", missing.seq));
        let (version, seq) = (&missing.version, missing.seq);
        format!("reason missing: rollback to {version} in {place}, record {seq}, {}; give it with `{next}`", since(missing))
    });
    holds.chain(reviews).chain(missing).collect()
}

fn review_line(state: &State, review: &OpenReview, at: DateTime<Utc>) -> String {
    let place = place(state, (review.project, review.path.as_ref()), review.service.as_ref(), &review.environment);
    let due = match review.due {
        Some(due) if due.utc() < at => format!(", OVERDUE since {}, {}", readable(due.utc()), ago(due.utc(), at)),
        Some(due) => format!(", due {}, {}", readable(due.utc()), ago(due.utc(), at)),
        None => String::new(),
    };
    let assignee = review.assignee.as_ref().map(|assignee| format!(", by {assignee}")).unwrap_or_default();
    format!("review owed: {} in {place}, record {}{due}{assignee}", review.version, review.seq)
}

/// The lines below the table; none of them is part of a CSV.
pub fn written(lines: &[String], format: Format) -> String {
    let line = |line: &String| match format {
        Format::Markdown => format!("- {}\n", markdown_inline(line)),
        _ => format!("{}\n", terminal(line)),
    };
    if lines.is_empty() || format == Format::Csv {
        return String::new();
    }
    format!("\n{}", lines.iter().map(line).collect::<String>())
}

/// Adds the debts as the state has them.
pub fn add_json(value: &mut Value, args: &Status, state: &State) {
    let marks = |marks: &[Mark]| marks.iter().filter(|mark| wants_mark(args, mark)).map(Mark::write).collect::<Vec<_>>();
    value["holds"] = marks(&state.holds).into();
    value["reviews"] =
        state.reviews.iter().filter(|review| wants_review(args, review)).map(OpenReview::write).collect::<Vec<_>>().into();
    value["missing_reasons"] = marks(&state.missing_reasons).into();
}

fn wants_mark(args: &Status, mark: &Mark) -> bool {
    is_wanted(&args.environment, &args.service, &mark.environment, mark.service.as_ref())
}

fn wants_review(args: &Status, review: &OpenReview) -> bool {
    is_wanted(&args.environment, &args.service, &review.environment, review.service.as_ref())
}

fn place(state: &State, project: (Option<u64>, Option<&Line>), service: Option<&Name>, environment: &Name) -> String {
    let project = state.has_several_projects().then(|| state.project_name(project.0, project.1));
    let parts = [project, service.map(ToString::to_string), Some(environment.to_string())];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}
