//! The merge requests that brought what is new, as GitLab tells of them.

use super::Delivery;
use super::change::Comparison;
use crate::cli::context::Context;
use crate::cli::settings::Settings;
use crate::core::gate::requests::{Approvals, Brought, Direct, Request, Requests, Unknown, Why};
use crate::core::gate::{Author, Needed};
use crate::core::record::{self, CommitId, Line, Link, Person, Time};
use crate::gitlab::{ApiError, Gitlab, MergeRequest, User};
use crate::http::Deadline;
use crate::repo::{MOST_STEPS, Step};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// How long GitLab is asked at most.
const LONGEST: Duration = Duration::from_secs(30);

/// How many commits GitLab is asked about one by one.
const MOST_ASKED: usize = 50;

/// Merge requests that changed this long before the first commit did not bring it.
const MARGIN: TimeDelta = TimeDelta::days(1);

/// The moment at which GitLab is not asked any further.
pub(super) fn deadline(ctx: &Context) -> Deadline {
    Deadline::after(LONGEST.min(ctx.global.timeout / 2))
}

impl Delivery {
    /// What brought the change, but for who approved it.
    pub(super) fn requests(&self, comparison: &Comparison, ctx: &Context, settings: &Settings) -> Requests {
        let Some(gitlab) = settings.gitlab.as_deref() else { return Requests::NotAsked };
        let unknown = |because: &str| Requests::Unknown(Unknown { because: because.to_owned(), ..Unknown::default() });
        if self.is_other_project {
            return unknown("the code is another project's");
        }
        let steps = match comparison {
            Comparison::Made(compared) => compared.steps.clone(),
            Comparison::First => self.last_step(settings),
            Comparison::Impossible(because) => return unknown(because),
        };
        let Some(steps) = steps else {
            return unknown(&format!("history is too short, or longer than {MOST_STEPS} commits on the branch"));
        };
        let search = Search { gitlab, steps: &steps, deadline: deadline(ctx), delivery: self, settings };
        match search.brought() {
            Ok(brought) => Requests::Known(brought),
            Err(error) => {
                ctx.ui.verbose(&error.to_string());
                Requests::Unknown(untold(&error, ctx))
            }
        }
    }

    fn last_step(&self, settings: &Settings) -> Option<Vec<Step>> {
        let (checkout, sha) = settings.checkout.as_ref().zip(self.sha())?;
        checkout.steps(None, sha, &|path| self.is_watched(path, settings)).ok().flatten()
    }
}

/// What GitLab did not tell, with what helps.
pub(super) fn untold(error: &ApiError, ctx: &Context) -> Unknown {
    let advice = error.advice(version(ctx).as_deref());
    Unknown { because: error.to_string(), advice, is_unreachable: error.is_unreachable() }
}

/// The server's version, as the job's variables have it: for advice only.
fn version(ctx: &Context) -> Option<String> {
    ctx.variable("CI_SERVER_VERSION").filter(|version| !version.is_empty() && version.len() < 40)
}

/// The most merge requests that a record names.
const MOST_NAMED: usize = 200;

/// Merge requests as a record has them, by number, with who approved those that needed it.
pub(super) fn as_recorded(brought: &Brought, needed: &[Needed]) -> Vec<record::MergeRequest> {
    let approved_by = |iid: u64| needed.iter().find(|needed| needed.iid == iid).and_then(|needed| needed.approved_by.clone());
    let named = brought.requests.iter().rev().take(MOST_NAMED).map(|request| record::MergeRequest {
        iid: request.iid,
        author: request.author.clone(),
        merged_by: request.merged_by.clone(),
        merged_at: request.merged_at,
        approved_by: approved_by(request.iid).into_iter().collect(),
        newer: Default::default(),
    });
    let mut named: Vec<_> = named.collect();
    named.sort_by_key(|request| request.iid);
    named
}

struct Search<'a> {
    gitlab: &'a Gitlab,
    steps: &'a [Step],
    deadline: Deadline,
    delivery: &'a Delivery,
    settings: &'a Settings,
}

impl Search<'_> {
    fn brought(&self) -> Result<Brought, ApiError> {
        let mut brought = Brought::default();
        let Some(first) = self.steps.iter().map(|step| step.at).min() else { return Ok(brought) };
        let first = DateTime::<Utc>::from_timestamp(first, 0).unwrap_or_default();
        let since = first.checked_sub_signed(MARGIN).unwrap_or_default();
        let merged = match self.gitlab.merged_requests(since, self.deadline) {
            // then each commit is asked about by itself
            Err(ApiError::TooMuch { .. }) => Vec::new(),
            told => told?,
        };
        let mut asked = 0;
        // the newest first: where there are too many to ask about, it is what is deployed that counts
        let mut found: Vec<Found> = Vec::new();
        for step in self.steps.iter().rev() {
            let exact = self.best(merged.iter().filter(|request| is_tip(request, step)), step);
            found.push(match exact {
                Some(request) => Found::Request(Box::new(request.clone())),
                None if !self.matters(step) => Found::Unimportant,
                None if asked == MOST_ASKED => Found::Not(Why::NotTold),
                None => {
                    asked += 1;
                    self.ask(step)?
                }
            });
        }
        for (step, found) in self.steps.iter().zip(found.into_iter().rev()) {
            match found {
                Found::Request(request) => {
                    brought.direct.extend(self.own(step, &request));
                    add(&mut brought, &request, step, self.settings);
                }
                Found::Not(why) => {
                    brought.direct.push(Direct { sha: step.sha.clone(), paths: step.paths.clone(), why });
                }
                Found::Unimportant => {}
            }
        }
        Ok(brought)
    }

    fn ask(&self, step: &Step) -> Result<Found, ApiError> {
        let told = match self.gitlab.merge_requests_of(step.sha.as_str(), self.deadline) {
            // GitLab has no such commit
            Err(ApiError::Untold { code: 404, .. }) => Vec::new(),
            // whoever may push can put a commit into as many merge requests as they like
            Err(ApiError::TooMuch { .. }) => return Ok(Found::Not(Why::NotTold)),
            told => told?,
        };
        let stands = |request: &&MergeRequest| self.steps.iter().any(|step| is_tip(request, step));
        if let Some(request) = self.best(told.iter().filter(stands), step) {
            return Ok(match step.merged.as_slice() {
                [] => Found::Request(Box::new(request.clone())),
                // what else came by this merge, GitLab does not show there
                [..] => Found::Not(Why::Beyond(request.iid)),
            });
        }
        if let Some(request) = self.best(told.iter().filter(|request| names(request, step)), step) {
            return Ok(Found::Not(Why::Beyond(request.iid)));
        }
        let open = told.iter().find(|request| request.state == "opened");
        Ok(Found::Not(open.map_or(Why::NoRequest, |request| Why::Unlike(request.iid))))
    }

    /// What the commit that merged it has beyond it, where that makes a difference: whoever may push to the branch can merge by hand,
    /// and change on the way what nobody sees in the merge request.
    fn own(&self, step: &Step, request: &MergeRequest) -> Option<Direct> {
        let is_merge = request.merge_commit_sha.as_deref() == Some(step.sha.as_str());
        let has_more = is_merge && !step.own.is_empty();
        has_more.then(|| Direct { sha: step.sha.clone(), paths: step.own.clone(), why: Why::Beyond(request.iid) })
    }

    /// The one that brought it, among those that hold it: a merged one before an open one, one that has it as its newest or merge
    /// commit before others, and one into the branch at hand.
    fn best<'r>(&self, requests: impl Iterator<Item = &'r MergeRequest>, step: &Step) -> Option<&'r MergeRequest> {
        let branch = self.delivery.commit.as_ref().and_then(|commit| commit.branch.as_ref()).map(Line::as_str);
        let live = requests.filter(|request| ["merged", "opened"].contains(&request.state.as_str()));
        live.min_by_key(|request| {
            let is_elsewhere = branch.is_some_and(|branch| branch != request.target_branch);
            (request.state != "merged", !is_tip(request, step), is_elsewhere, request.iid)
        })
    }

    /// Whether it makes a difference by which merge request a commit came in.
    fn matters(&self, step: &Step) -> bool {
        let is_last = self.steps.last().is_some_and(|last| last.sha == step.sha);
        is_last || step.paths.iter().any(|path| self.delivery.is_watched(path, self.settings)) || self.matters_always()
    }

    /// Also of a commit that changes no file.
    fn matters_always(&self) -> bool {
        self.delivery.is_watched("", self.settings)
    }
}

enum Found {
    Request(Box<MergeRequest>),
    Not(Why),
    Unimportant,
}

/// Whether a commit of the branch is the merge, squash or newest commit of a merge request, and brings nothing else: then the deployed
/// commit has all of it, and what the commit brings is what GitLab shows there.
fn is_tip(request: &MergeRequest, step: &Step) -> bool {
    let is = |tip: &Option<String>, sha: &CommitId| tip.as_deref() == Some(sha.as_str());
    let is_whole = |side: &CommitId| is(&request.sha, side) || is(&request.squash_commit_sha, side);
    match step.merged.as_slice() {
        [] => names(request, step),
        [side] => request.state != "opened" && is(&request.merge_commit_sha, &step.sha) && is_whole(side),
        [_, ..] => false,
    }
}

/// Whether a merge request has this commit as its merge, squash or newest one.
fn names(request: &MergeRequest, step: &Step) -> bool {
    let tips = [&request.merge_commit_sha, &request.squash_commit_sha, &request.sha];
    let is_open = request.state == "opened";
    tips.into_iter().skip(if is_open { 2 } else { 0 }).flatten().any(|tip| tip == step.sha.as_str())
}

/// Adds what a commit brought to its merge request.
fn add(brought: &mut Brought, request: &MergeRequest, step: &Step, settings: &Settings) {
    let people = &settings.config.rules.people;
    let authors = step.addresses.iter().map(|address| Author { login: people.login(address) });
    if let Some(at) = brought.requests.iter().position(|known| known.iid == request.iid) {
        // the order is that of the last commit of each
        let mut known = brought.requests.remove(at);
        known.paths.extend(step.paths.iter().cloned());
        known.authors.extend(authors);
        brought.requests.push(known);
        return;
    }
    let person = |user: &Option<User>| -> Option<Person> { user.as_ref().and_then(|user| user.person().ok()) };
    let is_merged = request.state == "merged";
    brought.requests.push(Request {
        iid: request.iid,
        url: request.web_url.as_deref().and_then(|url| Link::new(url).ok()),
        author: person(&request.author),
        merged_by: person(&request.merge_user).filter(|_| is_merged),
        merged_at: request.merged_at.filter(|_| is_merged).map(Time::new),
        is_merged,
        labels: request.labels.clone(),
        paths: step.paths.clone(),
        authors: authors.collect(),
        approvals: Approvals::NotRead,
    });
}
