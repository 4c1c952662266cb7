//! The issue in GitLab that reminds of a review (`emergency.follow_up.issue`).
//!
//! There is one for each deployment that owes a review, whoever makes it and however often it is tried: it has a mark, and is looked
//! for before it is made, and once more where the answer was lost. Anybody who may write issues can write one with the same mark once
//! the start is in the log. Then theirs is taken for it, since a second one would be worse than one that somebody meddled with, as they
//! could with the right one: the issue reminds, and nothing else. What is owed is what the log says.
//!
//! Nothing about it fails a deployment or its record, and it does not hold them up for longer than [`api::deadline`].

use super::api;
use super::context::Context;
use super::settings::Settings;
use super::writer::LogWriter;
use crate::core::record::{Id, Link, Record};
use crate::core::reminder::{self, Reminder};
use crate::gitlab::{ApiError, Gitlab, Issue, NewIssue};
use crate::http::Deadline;
use std::time::Duration;

/// How long GitLab is asked at most about an issue that is only shown.
const LONGEST_LOOK: Duration = Duration::from_secs(3);

/// A deployment that may owe a review: its start's number and id, and what is known of it.
#[derive(Clone, Copy)]
pub struct Owed<'a> {
    /// The number of the start.
    pub seq: u64,
    /// The id of the start.
    pub id: &'a Id,
    /// The start, or the end that says what it said.
    pub record: &'a Record,
}

impl<'a> Owed<'a> {
    /// A start, or a deployment in one step, that is in the log.
    pub fn by(record: &'a Record) -> Owed<'a> {
        Owed { seq: record.seq, id: &record.id, record }
    }

    fn is_owed(&self) -> bool {
        self.record.is_delivery() && self.record.follow_up.as_ref().is_some_and(|follow_up| follow_up.due.is_some())
    }
}

/// The record with the address of the issue that reminds of its review, where there is to be one and it does not have it yet. `seq`
/// and `id` are its start's.
pub fn with_issue(ctx: &Context, writer: &LogWriter, seq: u64, id: &Id, mut record: Record) -> Record {
    let has_one = record.follow_up.as_ref().is_some_and(|follow_up| follow_up.issue_url.is_some());
    if has_one {
        return record;
    }
    let outcome = remind(ctx, writer, Owed { seq, id, record: &record });
    if let (Some(follow_up), Outcome::Reminds(url)) = (&mut record.follow_up, outcome) {
        follow_up.issue_url = url;
    }
    record
}

/// Whether an issue reminds of a review.
#[derive(Debug)]
pub enum Outcome {
    /// None is to be there: the policy wants none, or no review is owed.
    NotWanted,
    /// One does, at this address.
    Reminds(Option<Link>),
    /// There should be one, and can't be.
    Fails,
}

/// Sees to it that an issue reminds of the review, where the policy wants one. What stands in the way is said.
pub fn remind(ctx: &Context, writer: &LogWriter, owed: Owed) -> Outcome {
    let settings = &writer.settings;
    let is_wanted = settings.config.rules.follow_up.issue && owed.is_owed();
    let Some(mark) = reminder::mark(owed.id).filter(|_| is_wanted) else { return Outcome::NotWanted };
    let review = ctx.command_line_elsewhere(&format!("review {}", owed.seq));
    match Making::begin(ctx, writer, owed, &mark, &review).and_then(|making| making.issue()) {
        Ok(None) => Outcome::NotWanted,
        Ok(Some(Made { issue, is_new, problem })) => {
            let url = issue.web_url.as_deref().and_then(|url| Link::new(url).ok());
            let page = url.as_ref().map_or_else(|| format!("#{}", issue.iid), ToString::to_string);
            if issue.state == "closed" {
                ctx.ui.warn(&format!("the issue {page} is closed, and the review is still owed: `{review}` closes that"));
            } else {
                ctx.ui.say(&format!("{} reminds of the review: {page}", if is_new { "a new issue" } else { "the issue" }));
            }
            problem.iter().for_each(|problem| ctx.ui.warn(problem));
            Outcome::Reminds(url)
        }
        Err(problem) => {
            ctx.ui.warn(&format!(
                "no issue reminds of the review of record {}: {problem}; the review is owed all the same: `{review}` closes it, and \
                 `{}` reminds of it",
                owed.seq,
                ctx.command_line_elsewhere("status"),
            ));
            Outcome::Fails
        }
    }
}

/// The issue that reminds of a review, as it stands in GitLab: its page and whether it is closed. `None` where there is none, or
/// GitLab can't be asked.
pub fn look(ctx: &Context, settings: &Settings, start: &Id) -> Option<(Option<Link>, bool)> {
    let gitlab = settings.gitlab.as_deref().filter(|gitlab| gitlab.has_access_token())?;
    let deadline = Deadline::after(LONGEST_LOOK.min(ctx.global.timeout / 4));
    match find(gitlab, &reminder::mark(start)?, deadline) {
        Ok(issue) => {
            let issue = issue?;
            Some((issue.web_url.as_deref().and_then(|url| Link::new(url).ok()), issue.state == "closed"))
        }
        Err(error) => {
            ctx.ui.verbose(&error.to_string());
            None
        }
    }
}

/// The oldest issue of the project that has the mark: of several, the others came later, whoever wrote them.
fn find(gitlab: &Gitlab, mark: &str, deadline: Deadline) -> Result<Option<Issue>, ApiError> {
    let has_mark = |issue: &Issue| issue.description.as_deref().is_some_and(|text| reminder::has_mark(text, mark));
    let found = gitlab.issues_with(mark, deadline)?;
    Ok(found
        .into_iter()
        .filter(|issue| has_mark(issue) && gitlab.is_own_project(issue.project_id))
        .min_by_key(|issue| issue.iid))
}

/// The issue, and what came of making it.
struct Made {
    issue: Issue,
    is_new: bool,
    /// What is not as it was meant.
    problem: Option<String>,
}

/// The way to the one issue.
struct Making<'a> {
    ctx: &'a Context,
    writer: &'a LogWriter<'a>,
    gitlab: &'a Gitlab,
    owed: Owed<'a>,
    mark: &'a str,
    review: &'a str,
    deadline: Deadline,
}

impl<'a> Making<'a> {
    fn begin(
        ctx: &'a Context,
        writer: &'a LogWriter<'a>,
        owed: Owed<'a>,
        mark: &'a str,
        review: &'a str,
    ) -> Result<Making<'a>, String> {
        let deadline = api::deadline(ctx);
        let gitlab = writer.settings.gitlab.as_deref().filter(|gitlab| gitlab.has_access_token());
        let gitlab = gitlab.ok_or("it takes an access token with the scope `api` (DEPLOY_RECORD_TOKEN), and there is none")?;
        refuse_other_project(owed.record, &writer.settings)?;
        Ok(Making { ctx, writer, gitlab, owed, mark, review, deadline })
    }

    /// The one that there is, else a new one; `None` where the review is not owed any more.
    fn issue(&self) -> Result<Option<Made>, String> {
        if let Some(issue) = find(self.gitlab, self.mark, self.deadline).map_err(|error| words(&error))? {
            return Ok(Some(Made { issue, is_new: false, problem: None }));
        }
        if !self.is_still_owed() {
            return Ok(None);
        }
        let reminder = reminder::compose(
            self.owed.record,
            self.owed.seq,
            self.mark,
            self.review,
            &self.writer.settings.config.rules.calendar,
        );
        self.make(&reminder).map(Some)
    }

    /// Whether nobody has reviewed it meanwhile; where the log can't tell, it is.
    fn is_still_owed(&self) -> bool {
        let recorder = self.writer.recorder();
        let known = recorder.known(self.deadline.at_most(self.deadline.remaining() / 2));
        let state = known.as_ref().ok().and_then(|known| known.state());
        state.is_none_or(|state| state.reviews.iter().any(|review| review.seq == self.owed.seq))
    }

    fn make(&self, reminder: &Reminder) -> Result<Made, String> {
        let (assignee, problem) = self.assignee(reminder);
        match self.create(reminder, assignee) {
            Ok(issue) => {
                let is_assigned = assignee.is_none_or(|id| issue.assignees.iter().any(|user| user.id == id));
                let problem = problem.or_else(|| (!is_assigned).then(|| unassigned(reminder, "GitLab did not take it")));
                Ok(Made { issue, is_new: true, problem })
            }
            Err(error) if error.is_refusal() && assignee.is_some() => {
                let problem = Some(unassigned(reminder, &words(&error)));
                let issue = self.create(reminder, None).or_else(|error| self.found_after_all(error))?;
                Ok(Made { issue, is_new: true, problem })
            }
            Err(error) => Ok(Made { issue: self.found_after_all(error)?, is_new: true, problem }),
        }
    }

    fn create(&self, reminder: &Reminder, assignee: Option<u64>) -> Result<Issue, ApiError> {
        let due = reminder.due.map(|day| day.format("%Y-%m-%d").to_string());
        let Reminder { title, description, .. } = reminder;
        let new = NewIssue { title, description, due_date: due.as_deref(), assignee };
        // what is left is for looking whether it was made, should the answer be lost
        self.gitlab.create_issue(&new, self.deadline.at_most(self.deadline.remaining() / 2))
    }

    /// The issue whose making got no answer. It is not made a second time: it may come yet.
    fn found_after_all(&self, error: ApiError) -> Result<Issue, String> {
        if !error.may_be_done() {
            return Err(words(&error));
        }
        let found = find(self.gitlab, self.mark, self.deadline);
        found.ok().flatten().ok_or_else(|| format!("GitLab did not answer whether it made one ({})", words(&error)))
    }

    /// The number of the user who is to do it; else why nobody is assigned.
    fn assignee(&self, reminder: &Reminder) -> (Option<u64>, Option<String>) {
        let Some(login) = &reminder.assignee else { return (None, None) };
        match self.gitlab.user_named(login.as_str(), self.deadline.at_most(self.deadline.remaining() / 4)) {
            Ok(Some(user)) => (Some(user.id), None),
            Ok(None) => (None, Some(unassigned(reminder, "GitLab has no such user"))),
            Err(error) => {
                self.ctx.ui.verbose(&error.to_string());
                (None, Some(unassigned(reminder, &words(&error))))
            }
        }
    }
}

fn unassigned(reminder: &Reminder, why: &str) -> String {
    let login = reminder.assignee.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("the issue is not assigned to `{login}` (`emergency.follow_up.assignee`): {why}")
}

fn words(error: &ApiError) -> String {
    match error.advice(None) {
        Some(advice) => format!("{error}; {advice}"),
        None => error.to_string(),
    }
}

/// The issue stands in the project whose job it was: a shared log has others', and a spool may be anybody's.
fn refuse_other_project(record: &Record, settings: &Settings) -> Result<(), String> {
    let of_job = record.job.as_ref().and_then(|job| job.project.as_ref());
    let (id, path) = match (of_job, &record.project) {
        (Some(path), _) => (None, Some(path)),
        (None, Some(project)) => (project.id, project.path.as_ref()),
        (None, None) => return Ok(()),
    };
    let here = settings.ci.as_ref().map(|ci| &ci.project);
    let own_path = here.and_then(|project| project.path.as_ref()).map(ToString::to_string);
    let own_path = own_path.or_else(|| settings.checkout.as_ref()?.project_path());
    let same_id = id.zip(here.and_then(|project| project.id)).map(|(one, other)| one == other);
    let same_path = || path.zip(own_path).is_none_or(|(one, other)| one.as_str().eq_ignore_ascii_case(&other));
    if same_id.unwrap_or_else(same_path) {
        return Ok(());
    }
    let path = path.map(ToString::to_string).unwrap_or_default();
    Err(format!("it was a deployment of the project {path}, and this is another one"))
}
