//! From flags, CI variables and git to the facts of one deployment. Order: flag, variable, config, what CI or git says.

mod commit;
mod place;

pub use commit::resolve;
pub use place::{Target, not_recorded};

use super::context::Context;
use super::exit::Failure;
use super::settings::Settings;
use crate::core::record::{
    Artifact, ChangeNote, Changes, Check, Commit, CommitId, Delivered, Environment, Kind, Line, Link, Name, Person, Project,
    Provenance, Record, Status, Strength, Text, Time,
};
use crate::core::state::{PlaceKey, State};
use crate::git::GitRemote;
use crate::http::Deadline;
use crate::recorder::{Known, RecordError};
use crate::repo::{Checkout, Deepened, default_ticket_pattern};
use anyhow::anyhow;
use clap::Args;
use regex::Regex;
use std::cell::RefCell;

/// What is deployed, and where to.
#[derive(Args, Debug, Default)]
pub struct DeliveryArgs {
    /// The environment [default: the job's].
    #[arg(short, long, value_parser = super::non_empty, value_name = "NAME")]
    pub environment: Option<String>,
    /// The service, where one repository has several.
    #[arg(long, value_parser = super::non_empty, value_name = "NAME")]
    pub service: Option<String>,
    /// The version as people name it [default: the tag, else `git describe`, else the short commit].
    #[arg(long, value_parser = super::non_empty, value_name = "VERSION")]
    pub version: Option<String>,
    /// The commit that is delivered [default: the job's, else HEAD].
    #[arg(long, value_parser = super::non_empty, value_name = "COMMIT")]
    pub commit: Option<String>,
    /// The project whose code is delivered, where that is another one: its path, such as `grp/app`.
    #[arg(long, value_parser = super::non_empty, value_name = "PATH")]
    pub project: Option<String>,
    /// A ticket; may be repeated.
    #[arg(long, value_parser = super::non_empty, value_name = "TICKET")]
    pub ticket: Vec<String>,
    /// Something delivered besides the commit: NAME=sha256:DIGEST; may be repeated.
    #[arg(long, value_parser = parse_artifact, value_name = "NAME=DIGEST")]
    pub artifact: Vec<Artifact>,
    /// Test evidence: NAME=STATUS or NAME=STATUS=URL; may be repeated.
    #[arg(long, value_parser = parse_check, value_name = "NAME=STATUS")]
    pub check: Vec<Check>,
    /// What changed, for support and customers.
    #[arg(long, visible_alias = "reason", allow_hyphen_values = true, value_parser = super::non_empty, value_name = "TEXT")]
    pub note: Option<String>,
}

/// The facts of one deployment, but for what depends on the log's state.
pub struct Delivery {
    environment: Environment,
    service: Option<Name>,
    project: Option<Project>,
    version: Line,
    commit: Option<Commit>,
    tickets: Vec<Line>,
    artifacts: Vec<Artifact>,
    checks: Vec<Check>,
    change_note: Option<ChangeNote>,
    actor: Option<Person>,
    job: Option<crate::core::record::Job>,
    /// The code is not that of the repository at hand.
    is_other_project: bool,
    provenance: Provenance,
    pattern: Regex,
    /// What was compared last: with what, and what came of it.
    compared: RefCell<Option<(Option<Delivered>, Option<Changes>)>>,
}

/// How a deployment stands, and when.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Its status.
    pub status: Status,
    /// When it began.
    pub started_at: Time,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// How strongly the status is known.
    pub strength: Strength,
}

impl Progress {
    /// Begun at this moment, before our eyes.
    pub fn begun(at: Time) -> Self {
        let (status, strength) = (Status::Running, Strength::Observed);
        Progress { status, started_at: at, finished_at: None, strength }
    }
}

impl Delivery {
    /// Gathers the facts.
    ///
    /// # Errors
    /// Where a flag or variable makes no sense, or something that must be known is not.
    pub fn gather(args: &DeliveryArgs, ctx: &Context, settings: &Settings) -> Result<Delivery, Failure> {
        let (ci, checkout) = (settings.ci.as_ref(), settings.checkout.as_ref());
        let environment = place::environment(args, ctx, settings)?;
        let is_other = commit::is_other_project(args, ci, checkout);
        let (commit, commit_strength) =
            if is_other { commit::of_other_project(args)? } else { commit::find(args, ctx, ci, checkout)? };
        let checkout_of_code = checkout.filter(|_| !is_other);
        let version = commit::version(args, ci, checkout_of_code, commit.as_ref())?;
        let mut job = ci.map(|ci| ci.job.clone());
        if let (true, Some(job), Some(ci)) = (is_other, &mut job, ci) {
            job.project = ci.project.path.clone();
        }
        let actor = match ci {
            Some(ci) => Some(ci.actor.clone()),
            None => checkout.and_then(Checkout::user_name).map(|name| Person { name: Some(name), ..Person::default() }),
        };
        let tickets = args.ticket.iter().filter_map(|ticket| Line::clean(ticket)).collect();
        let summary = args.note.as_deref().and_then(Text::clean);
        let provenance = Provenance {
            actor: actor.is_some().then_some(Strength::Asserted),
            commit: commit.is_some().then_some(commit_strength),
            environment: Some(Strength::Asserted),
            job: ci.map(|_| Strength::Asserted),
            ..Provenance::default()
        };
        Ok(Delivery {
            environment,
            service: place::service(args, settings)?,
            project: place::project(args, ci, checkout),
            version,
            commit,
            tickets,
            artifacts: args.artifact.clone(),
            checks: args.check.clone(),
            change_note: summary.map(|summary| ChangeNote { summary: Some(summary), ..ChangeNote::default() }),
            actor,
            job,
            is_other_project: is_other,
            provenance,
            pattern: pattern(settings)?,
            compared: RefCell::default(),
        })
    }

    /// The environment's name.
    pub fn environment(&self) -> &Name {
        &self.environment.name
    }

    /// The record of this deployment as it stands, on top of this log.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub fn record(&self, known: &Known, progress: Progress, ctx: &Context, settings: &Settings) -> Result<Record, RecordError> {
        let mut record = self.without_log(progress, settings);
        record.previous = self.previous(known)?;
        record.changes = self.changes(record.previous.as_ref(), ctx, settings);
        record.project = self.project_in(known.state());
        Ok(record)
    }

    /// The record of this deployment as it stands, as far as it is known without the log.
    pub fn without_log(&self, progress: Progress, settings: &Settings) -> Record {
        let provenance =
            Provenance { status: Some(progress.strength), times: Some(progress.strength), ..self.provenance.clone() };
        let mut record = Record::draft(Kind::Deployment);
        record.service = self.service.clone();
        record.project = self.project.clone();
        record.environment = Some(self.environment.clone());
        record.version = Some(self.version.clone());
        record.commit = self.commit.clone();
        record.artifacts = self.artifacts.clone();
        record.checks = self.checks.clone();
        record.changes = with_tickets(Changes::default(), &self.tickets);
        record.actor = self.actor.clone();
        record.job = self.job.clone();
        record.status = Some(progress.status);
        record.started_at = Some(progress.started_at);
        record.finished_at = progress.finished_at;
        record.change_note = self.change_note.clone();
        record.provenance = Some(provenance);
        record.policy = settings.policy.clone();
        record
    }

    /// The record of a start. A job that deployed the same before gets the next attempt, so that a second run in one job is a
    /// second deployment and not taken for a repetition of the first; unless that one is open and may be this very one.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub fn start(
        &self,
        known: &Known,
        at: Time,
        may_be_open: bool,
        ctx: &Context,
        settings: &Settings,
    ) -> Result<Record, RecordError> {
        let mut record = self.record(known, Progress::begun(at), ctx, settings)?;
        if let Some(state) = known.state() {
            let place = PlaceKey::of(&record).and_then(|key| state.place(&key));
            let is_open = |seq| place.is_some_and(|place| place.open.iter().any(|open| open.seq == seq));
            let mut attempt = 1;
            while state.recorded_by_job(&record).is_some_and(|seq| !(may_be_open && is_open(seq))) {
                attempt += 1;
                if let Some(job) = &mut record.job {
                    job.attempt = Some(attempt);
                }
            }
        }
        Ok(record)
    }

    /// What runs there now, as the log knows it.
    ///
    /// # Errors
    /// Where the log can't be read.
    fn previous(&self, known: &Known) -> Result<Option<Delivered>, RecordError> {
        let project = self.project_in(known.state());
        let key = PlaceKey::new(project.as_ref(), self.service.as_ref(), &self.environment.name);
        let runs = known.place(&key)?.and_then(|place| place.runs);
        Ok(runs.map(|runs| Delivered { seq: runs.seq, version: runs.version, sha: runs.sha, newer: Default::default() }))
    }

    /// What is new since then; history that a shallow clone lacks is fetched, or marked as missing. Compared once, however often
    /// the append is tried.
    fn changes(&self, previous: Option<&Delivered>, ctx: &Context, settings: &Settings) -> Option<Changes> {
        let mut compared = self.compared.borrow_mut();
        match &*compared {
            Some((same, changes)) if same.as_ref() == previous => changes.clone(),
            _ => {
                let changes = self.compute_changes(previous, ctx, settings);
                *compared = Some((previous.cloned(), changes.clone()));
                changes
            }
        }
    }

    fn compute_changes(&self, previous: Option<&Delivered>, ctx: &Context, settings: &Settings) -> Option<Changes> {
        let known = self.changes_in_git(previous, ctx, settings);
        with_tickets(known.unwrap_or_default(), &self.tickets)
    }

    fn changes_in_git(&self, previous: Option<&Delivered>, ctx: &Context, settings: &Settings) -> Option<Changes> {
        let previous = previous?.sha.as_ref().filter(|_| !self.is_other_project)?;
        let commit = &self.commit.as_ref()?.sha;
        let mut changes = self.compare(previous, commit, ctx, settings).unwrap_or_else(|problem| {
            ctx.ui.warn(&format!("can't tell what is new since {}: {problem}", previous.short()));
            Changes { incomplete: Some(true), ..Changes::default() }
        });
        changes.compare_url = self.compare_url(previous, commit);
        Some(changes)
    }

    fn compare(&self, previous: &CommitId, commit: &CommitId, ctx: &Context, settings: &Settings) -> anyhow::Result<Changes> {
        let checkout = settings.checkout.as_ref().ok_or_else(|| anyhow!("there is no repository at hand"))?;
        let path = self.project.as_ref().and_then(|project| project.path.as_ref());
        let path = path.map(Line::as_str);
        let changes = checkout.changes(previous, commit, &self.pattern, path)?;
        if changes.incomplete != Some(true) {
            return Ok(changes);
        }
        let Some(remote) = project_remote(ctx, settings) else { return Ok(changes) };
        ctx.ui.verbose("the clone is too shallow to compare with what runs there; fetching more history");
        // a part of the time only: what is new is worth knowing, the record is worth more
        let deadline = Deadline::after(ctx.global.timeout / 4);
        match Deepened::fetch(&remote, previous, commit, deadline) {
            Ok(deeper) => Ok(deeper.changes(previous, commit, &self.pattern, path)?),
            Err(problem) => {
                ctx.ui.warn(&format!("can't fetch more history: {problem}"));
                Ok(changes)
            }
        }
    }

    fn compare_url(&self, previous: &CommitId, commit: &CommitId) -> Option<Link> {
        let url = self.project.as_ref()?.url.as_ref()?;
        Link::new(format!("{url}/-/compare/{previous}...{commit}")).ok()
    }

    fn project_in(&self, state: Option<&State>) -> Option<Project> {
        place::project_in(self.project.clone(), state)
    }
}

/// The tickets that were named come first.
fn with_tickets(mut changes: Changes, tickets: &[Line]) -> Option<Changes> {
    for ticket in tickets.iter().rev() {
        changes.tickets.retain(|known| known != ticket);
        changes.tickets.insert(0, ticket.clone());
    }
    (changes != Changes::default()).then_some(changes)
}

fn pattern(settings: &Settings) -> Result<Regex, Failure> {
    match &settings.config.tickets.pattern {
        None => Ok(default_ticket_pattern().clone()),
        Some(pattern) => Regex::new(pattern).map_err(Failure::usage),
    }
}

/// The remote that has the project's history: the job's own project.
fn project_remote(ctx: &Context, settings: &Settings) -> Option<GitRemote> {
    let ci = settings.ci.as_ref()?;
    let location = super::location::Location::by_default(ctx, Some(ci), None, "").ok()?;
    let super::location::Location::Remote { read, .. } = location else { return None };
    read.remote(ctx).ok()
}

fn parse_artifact(text: &str) -> Result<Artifact, String> {
    let (name, digest) = text.split_once('=').ok_or("expected NAME=sha256:DIGEST")?;
    let name = Line::clean(name).ok_or("the name is empty")?;
    Ok(Artifact { name, digest: digest.parse()?, newer: Default::default() })
}

/// A check on the command line: NAME=STATUS or NAME=STATUS=URL.
pub fn parse_check(text: &str) -> Result<Check, String> {
    let mut parts = text.splitn(3, '=');
    let name = parts.next().and_then(Line::clean).ok_or("the name is empty")?;
    let status = parts.next().and_then(Line::clean).ok_or("expected NAME=STATUS")?;
    let url = parts.next().map(Link::new).transpose().map_err(|problem| format!("the address {problem}"))?;
    Ok(Check { name, status: Some(status), url, sha256: None, newer: Default::default() })
}
