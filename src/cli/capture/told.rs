//! What GitLab is asked about approvals, once one is needed: comments and buttons of merge requests, the deployment's own approvers,
//! and the accounts of those who approved.

use super::Delivery;
use super::requests::{deadline, untold};
use crate::cli::context::Context;
use crate::cli::settings::Settings;
use crate::core::gate::requests::{self, Approvals, Comment, Given, Requests};
use crate::core::gate::{Account, Candidate, Decision, Told};
use crate::core::record::{Approval, ApprovalSource, Digest, Name, Person, Text, Time};
use crate::gitlab::{ApiError, DeploymentApproval, Gitlab, Note};
use crate::http::Deadline;
use std::collections::BTreeSet;

/// How many accounts are looked at.
const MOST_ACCOUNTS: usize = 20;

impl Delivery {
    /// Asks GitLab for the approvals of what needs one, by the decision so far.
    pub(super) fn ask_for_approvals(&self, told: &mut Told, decision: &Decision, ctx: &Context, settings: &Settings) {
        let Some(gitlab) = settings.gitlab.as_deref() else { return };
        let accept = &settings.config.rules.approval.accept;
        let deadline = deadline(ctx);
        if accept.contains(&ApprovalSource::MergeRequestNote) || accept.contains(&ApprovalSource::MergeRequestApproval) {
            self.ask_for_notes(told, decision, gitlab, deadline, ctx);
        }
        if accept.contains(&ApprovalSource::DeploymentApproval) {
            self.ask_for_deployment(told, gitlab, deadline, ctx);
        }
    }

    fn ask_for_notes(&self, told: &mut Told, decision: &Decision, gitlab: &Gitlab, deadline: Deadline, ctx: &Context) {
        let Requests::Known(brought) = &mut told.requests else { return };
        let place = requests::Place { environment: &self.environment.name, service: self.service.as_ref() };
        // what stands in the newest of them may cover the others
        let needed = |iid: u64| decision.requests.iter().any(|needed| needed.iid == iid);
        for request in brought.requests.iter_mut().filter(|request| needed(request.iid)) {
            request.approvals = match approvals(request.iid, gitlab, place, deadline) {
                Ok(given) => Approvals::Read(given),
                Err(error) => Approvals::Unknown(untold(&error, ctx)),
            };
        }
    }

    /// What those decided who approve deployments to a protected environment. GitLab has that from Premium on.
    fn ask_for_deployment(&self, told: &mut Told, gitlab: &Gitlab, deadline: Deadline, ctx: &Context) {
        let Some(id) = self.deployment else { return };
        let approvals = match gitlab.deployment(id, deadline) {
            Ok(deployment) => deployment.approvals,
            Err(error) => return ctx.ui.verbose(&error.to_string()),
        };
        // asked again where the append is tried again
        (told.deployment, told.rejected_by) = Default::default();
        let people = approvals.iter().filter_map(|approval| Some((approval, approval.user.person().ok()?)));
        for (approval, person) in people {
            match approval.status.as_str() {
                "approved" => told.deployment.push(self.candidate(approval, person)),
                "rejected" => told.rejected_by.push(person),
                _ => {}
            }
        }
    }

    fn candidate(&self, given: &DeploymentApproval, approver: Person) -> Candidate {
        let note = given.comment.as_deref().and_then(Text::clean);
        let approval = Approval {
            source: ApprovalSource::DeploymentApproval,
            approver,
            at: given.created_at.map(Time::new),
            note_sha256: note.as_ref().map(|note| Digest::of(note.as_str().as_bytes())),
            note,
            url: self.job.as_ref().and_then(|job| job.url.clone()),
            note_id: None,
            seq: None,
            sha256: None,
            commit: self.sha().cloned(),
            covers: Vec::new(),
            before_start: None,
            expires_at: None,
            newer: Default::default(),
        };
        Candidate { approval, place: None, signer: None, follow_up: None, is_open: true, used_by: None, is_withdrawn: false }
    }
}

/// The approvals on a merge request, with what its button says where somebody may ask.
fn approvals(iid: u64, gitlab: &Gitlab, place: requests::Place, deadline: Deadline) -> Result<Vec<Given>, ApiError> {
    let comments = comments(iid, gitlab, deadline)?;
    // the token may be another project's: then GitLab's own comments are all that there is, as without one
    let pressed = match gitlab.has_access_token().then(|| pressed(iid, gitlab, deadline)).transpose() {
        Err(error) if error.is_untold() => None,
        pressed => pressed?,
    };
    Ok(requests::given(&comments, pressed.as_deref(), place))
}

/// The comments of a merge request, in the order of their numbers.
///
/// # Errors
/// As [`ApiError`] says.
pub fn comments(iid: u64, gitlab: &Gitlab, deadline: Deadline) -> Result<Vec<Comment>, ApiError> {
    Ok(gitlab.notes(iid, deadline)?.into_iter().map(comment).collect())
}

fn pressed(iid: u64, gitlab: &Gitlab, deadline: Deadline) -> Result<Vec<Person>, ApiError> {
    let approvals = gitlab.approvals_of(iid, deadline)?.approved_by;
    Ok(approvals.into_iter().filter_map(|by| by.user.person().ok()).collect())
}

fn comment(note: Note) -> Comment {
    Comment {
        id: note.id,
        is_active: note.author.as_ref().is_some_and(|author| author.is_active()),
        author: note.author.and_then(|author| author.person().ok()),
        body: note.body,
        at: note.created_at,
        changed_at: note.updated_at.unwrap_or(note.created_at),
        is_system: note.system,
        is_internal: note.internal,
        is_imported: note.imported,
    }
}

/// Looks at the accounts of those whose approvals may count, where there is an access token for it. Whom nobody can tell of has none.
pub(super) fn ask_for_accounts(told: &mut Told, signed: &[Candidate], ctx: &Context, settings: &Settings) {
    let Some(gitlab) = settings.gitlab.as_deref().filter(|gitlab| gitlab.has_access_token()) else {
        return;
    };
    let deadline = deadline(ctx);
    let told_now = &*told;
    let on_requests = told_now.requests.known().into_iter().flat_map(|brought| &brought.requests).flat_map(|request| {
        let given = match &request.approvals {
            Approvals::Read(given) => given.as_slice(),
            Approvals::NotRead | Approvals::Unknown(_) => &[],
        };
        given.iter().filter(|given| given.flaw.is_none()).map(|given| &given.approver)
    });
    let of_deployment = told_now.deployment.iter().map(|candidate| &candidate.approval.approver);
    let all = signed.iter().map(|signed| &signed.approval.approver).chain(on_requests).chain(of_deployment);
    // whom the policy names comes first: strangers who write the same words crowd nobody out
    let is_named = |login: &Name| settings.config.rules.approval.approvers.contains(login);
    let known = |person: &Person| {
        let login = person.login.clone()?;
        Some((!is_named(&login), login, person.id))
    };
    let people: BTreeSet<_> = all.filter_map(known).collect();
    for (_, login, id) in people.into_iter().take(MOST_ACCOUNTS) {
        if told.accounts.contains_key(&login) {
            continue;
        }
        match account(&login, id, gitlab, settings, deadline) {
            Ok(account) => {
                told.accounts.insert(login, account);
            }
            Err(error) => ctx.ui.verbose(&format!("{login}: {error}")),
        }
    }
}

fn account(
    login: &Name,
    id: Option<u64>,
    gitlab: &Gitlab,
    settings: &Settings,
    deadline: Deadline,
) -> Result<Account, ApiError> {
    let rules = &settings.config.rules.approval;
    let id = match id {
        Some(id) => id,
        None => match gitlab.user_named(login.as_str(), deadline)? {
            Some(user) => user.id,
            None => return Ok(Account::default()),
        },
    };
    let user = gitlab.user(id, deadline)?;
    let level = match rules.minimum_access {
        Some(_) => {
            gitlab.member(id, deadline)?.filter(|member| member.user.is_active()).map_or(0, |member| member.access_level)
        }
        None => 0,
    };
    let mut groups = Vec::new();
    for group in &rules.groups {
        if gitlab.group_member(group, id, deadline)?.is_some_and(|member| member.user.is_active()) {
            groups.push(group.clone());
        }
    }
    Ok(Account { is_bot: user.bot == Some(true), is_active: user.is_active(), level, groups })
}
