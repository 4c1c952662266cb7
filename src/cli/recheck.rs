//! An approval in GitLab is looked at once more when the deployment has ended: a comment can be edited, withdrawn or deleted.

use super::api;
use super::capture::comments;
use super::context::Context;
use super::settings::Settings;
use crate::core::gate::Code;
use crate::core::gate::requests::{self, Given};
use crate::core::record::{Approval, ApprovalSource, Digest, Finding, Line, Record};
use std::collections::BTreeSet;

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

/// What became of it, or of those that were given beside it; `None` where all stand, or that can't be told.
fn changed(approval: &Approval, end: &Record, ctx: &Context, settings: &Settings) -> Option<(Code, String)> {
    let sources = [ApprovalSource::MergeRequestNote, ApprovalSource::MergeRequestApproval];
    let newest = approval.note_id.filter(|_| sources.contains(&approval.source))?;
    let gitlab = settings.gitlab.as_deref().filter(|_| settings.ci.is_some())?;
    let environment = &end.environment.as_ref()?.name;
    let place = requests::Place { environment, service: end.service.as_ref() };
    let deadline = api::deadline(ctx);
    let requests = end.changes.iter().flat_map(|changes| &changes.merge_requests);
    let approved: Vec<_> = requests.filter(|request| !request.approved_by.is_empty()).collect();
    let mut given = Vec::new();
    for iid in approved.iter().map(|request| request.iid) {
        match comments(iid, gitlab, deadline) {
            Ok(comments) => given.extend(requests::given(&comments, None, place)),
            Err(error) => {
                ctx.ui.verbose(&error.to_string());
                return None;
            }
        }
    }
    let others = approved.iter().flat_map(|request| &request.approved_by).filter_map(|approved| approved.note_id);
    let notes: BTreeSet<_> = others.chain([newest]).collect();
    // whoever presses the button again has GitLab write another comment, which counts then
    let stands = |given: &Given| given.approver.id == approval.approver.id && given.flaw.is_none();
    let is_pressed_again = approval.source == ApprovalSource::MergeRequestApproval && given.iter().any(stands);
    notes.into_iter().filter(|note| !(is_pressed_again && *note == newest)).find_map(|note| {
        let digest = approval.note_sha256.filter(|_| note == newest);
        what_became_of(given.iter().find(|given| given.note_id == Some(note)), digest)
    })
}

/// That a comment does not stand any more as it did, by its digest where that is known.
fn what_became_of(given: Option<&Given>, digest: Option<Digest>) -> Option<(Code, String)> {
    let Some(given) = given else {
        return Some((Code::ApprovalGone, "a comment that approved was deleted, or says something else".to_owned()));
    };
    if digest.is_some() && given.text_digest() != digest {
        return Some((Code::ApprovalEdited, "the comment was edited".to_owned()));
    }
    match &given.flaw {
        Some((code @ (Code::ApprovalEdited | Code::ApprovalWithdrawn), words)) => Some((*code, words.clone())),
        _ => None,
    }
}
