//! An approval in GitLab is looked at once more when the deployment has ended: a comment can be edited, withdrawn or deleted.

use super::capture::comments;
use super::context::Context;
use super::settings::Settings;
use crate::core::gate::Code;
use crate::core::gate::requests::{self, Given};
use crate::core::record::{Approval, ApprovalSource, Finding, Line, Record};
use crate::http::Deadline;
use std::time::Duration;

/// How long GitLab is asked at most: the outcome is worth more than what it would tell.
const LONGEST: Duration = Duration::from_secs(10);

/// The end of a deployment, with what became of its approval where that does not stand any more as it did.
pub fn recheck(end: Record, ctx: &Context, settings: &Settings) -> Record {
    let Some((code, words)) = end.approval.as_ref().and_then(|approval| changed(approval, &end, ctx, settings)) else {
        return end;
    };
    let message = format!("the approval does not stand any more as it did at the start: {words}");
    ctx.ui.loud(&format!("{code}: {message}"));
    let found = Line::clean(code.as_str()).zip(Line::clean(&message));
    let finding = found.map(|(code, message)| Finding { code, message, newer: Default::default() });
    let findings = end.findings.iter().cloned().chain(finding).collect();
    Record { findings, ..end }
}

/// What became of it; `None` where it stands, or that can't be told.
fn changed(approval: &Approval, end: &Record, ctx: &Context, settings: &Settings) -> Option<(Code, String)> {
    let sources = [ApprovalSource::MergeRequestNote, ApprovalSource::MergeRequestApproval];
    let (note, iid) = approval.note_id.filter(|_| sources.contains(&approval.source)).zip(approval.covers.first())?;
    let gitlab = settings.gitlab.as_deref().filter(|_| !settings.is_stale && settings.ci.is_some())?;
    let deadline = Deadline::after(LONGEST.min(ctx.global.timeout / 4));
    let comments = match comments(*iid, gitlab, deadline) {
        Ok(comments) => comments,
        Err(error) => {
            ctx.ui.verbose(&error.to_string());
            return None;
        }
    };
    let environment = &end.environment.as_ref()?.name;
    let given = requests::given(&comments, None, requests::Place { environment, service: end.service.as_ref() });
    match given.into_iter().find(|given| given.note_id == Some(note)) {
        // the button leaves a comment of GitLab's own for each press, of which the last counts
        None if approval.source == ApprovalSource::MergeRequestApproval => None,
        None => Some((Code::ApprovalGone, "the comment was deleted, or says something else".to_owned())),
        Some(given) if given.text_digest() != approval.note_sha256 => {
            Some((Code::ApprovalEdited, "the comment was edited".to_owned()))
        }
        Some(Given { flaw: Some((code @ (Code::ApprovalEdited | Code::ApprovalWithdrawn), words)), .. }) => Some((code, words)),
        Some(_) => None,
    }
}
