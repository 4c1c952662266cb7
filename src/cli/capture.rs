//! From flags, CI variables and git to the facts of one deployment. Order: flag, variable, config, what CI or git says.

mod change;
mod commit;
mod deployment;
mod gating;
mod lacking;
mod place;
mod requests;
mod said;
mod told;
mod vouched;

pub use commit::resolve;
pub use gating::Start;
pub use lacking::refuse_lacking;
pub use place::{Target, not_recorded, project_in};
pub use said::SaidArgs;
pub use told::comments;

use super::context::Context;
use super::exit::Failure;
use super::identity;
use super::settings::Settings;
use super::witness::IfExpired;
use super::writer::LogWriter;
use crate::core::gate::{Said, Told};
use crate::core::record::{
    Artifact, ChangeNote, Changes, Check, Commit, CommitId, Delivered, Environment, Kind, Line, Link, Name, Person, Project,
    Provenance, Record, Status, Strength, Text, Time,
};
use crate::core::state::State;
use crate::repo::default_ticket_pattern;
use change::{Comparison, with_tickets};
use clap::Args;
use deployment::Listed;
use regex::Regex;
use std::cell::RefCell;
use vouched::About;

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
    /// The version was named, by a flag or the job's tag.
    is_version_named: bool,
    commit: Option<Commit>,
    tickets: Vec<Line>,
    artifacts: Vec<Artifact>,
    checks: Vec<Check>,
    change_note: Option<ChangeNote>,
    actor: Option<Person>,
    job: Option<crate::core::record::Job>,
    /// GitLab signed that the job's branch or tag is not protected.
    is_unprotected: bool,
    /// The code is not that of the repository at hand.
    is_other_project: bool,
    /// The project was named, and not found out.
    is_named_project: bool,
    provenance: Provenance,
    pattern: Regex,
    /// What was said of it: that it is an emergency, or goes ahead without approval.
    said: Said,
    /// What was compared last: with what, and what came of it.
    compared: RefCell<Option<(Option<Delivered>, Comparison)>>,
    /// The number by which GitLab has this deployment.
    deployment: Option<u64>,
    /// The newest deployments there that went well, as GitLab has them.
    listed: Vec<Listed>,
    /// What GitLab told last: compared with what, and what came of it.
    told: RefCell<Option<(Option<Delivered>, Told)>>,
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
    /// Gathers the facts of one that is about to begin.
    ///
    /// # Errors
    /// Where a flag or variable makes no sense, or something that must be known is not.
    pub fn gather(args: &DeliveryArgs, said: &SaidArgs, ctx: &Context, settings: &Settings) -> Result<Delivery, Failure> {
        Self::gather_facts(args, said, ctx, settings, IfExpired::Refuse)
    }

    /// Gathers the facts of one that has ended, maybe after the job's ID token has expired.
    ///
    /// # Errors
    /// As [`Delivery::gather`].
    pub fn gather_afterwards(
        args: &DeliveryArgs,
        said: &SaidArgs,
        ctx: &Context,
        settings: &Settings,
    ) -> Result<Delivery, Failure> {
        Self::gather_facts(args, said, ctx, settings, IfExpired::GoOn)
    }

    fn gather_facts(
        args: &DeliveryArgs,
        said: &SaidArgs,
        ctx: &Context,
        settings: &Settings,
        if_expired: IfExpired,
    ) -> Result<Delivery, Failure> {
        let (ci, checkout) = (settings.ci.as_ref(), settings.checkout.as_ref());
        let environment = place::environment(args, ctx, settings)?;
        let is_other = commit::is_other_project(args, ci, checkout);
        let (commit, commit_strength) =
            if is_other { commit::of_other_project(args)? } else { commit::find(args, ci, checkout)? };
        let checkout_of_code = checkout.filter(|_| !is_other);
        let version = commit::version(args, ci, checkout_of_code, commit.as_ref())?;
        let about =
            About { environment: &environment.name, commit: commit.as_ref().map(|commit| &commit.sha), is_other, if_expired };
        let vouched = vouched::ask(about, ctx, settings)?;
        let said = said.said(args, commit.as_ref().map(|commit| &commit.sha), checkout_of_code);
        let tickets = args.ticket.iter().filter_map(|ticket| Line::clean(ticket)).collect();
        let summary = args.note.as_deref().and_then(Text::clean);
        let provenance = Provenance {
            actor: vouched.actor.is_some().then_some(vouched.of_job),
            commit: commit.is_some().then(|| vouched.of_commit.unwrap_or(commit_strength)),
            environment: Some(vouched.of_environment),
            job: ci.map(|_| vouched.of_job),
            ..Provenance::default()
        };
        Ok(Delivery {
            environment,
            service: place::service(args, settings)?,
            project: place::project(args, ci, checkout),
            version,
            is_version_named: args.version.is_some() || ci.is_some_and(|ci| ci.tag.is_some()),
            commit,
            tickets,
            artifacts: args.artifact.clone(),
            checks: args.check.clone(),
            change_note: summary.map(|summary| ChangeNote { summary: Some(summary), ..ChangeNote::default() }),
            actor: vouched.actor,
            job: vouched.job,
            is_unprotected: vouched.is_unprotected,
            is_other_project: is_other,
            is_named_project: args.project.is_some(),
            provenance,
            pattern: pattern(settings)?,
            said,
            compared: RefCell::default(),
            deployment: vouched.deployment,
            listed: vouched.listed,
            told: RefCell::default(),
        })
    }

    /// Whether this signer may sign the record of it, by what GitLab signed: the variable that says whether the branch or tag is
    /// protected may be anybody's.
    ///
    /// # Errors
    /// As [`identity::refuse_unprotected`].
    pub fn check_signer(&self, writer: &LogWriter) -> Result<(), Failure> {
        let principal = writer.recorder().signer.principal();
        identity::refuse_signing(self.is_unprotected, &writer.settings, principal, Some(&self.environment.name))
    }

    /// The environment's name.
    pub fn environment(&self) -> &Name {
        &self.environment.name
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

    /// The service.
    pub fn service(&self) -> Option<&Name> {
        self.service.as_ref()
    }

    /// The version.
    pub fn version(&self) -> &Line {
        &self.version
    }

    /// The environment.
    pub fn place(&self) -> &Environment {
        &self.environment
    }

    /// The project whose code is delivered.
    pub fn project(&self) -> Option<&Project> {
        self.project.as_ref()
    }

    /// The commit, with what git knows of it.
    pub fn commit(&self) -> Option<&Commit> {
        self.commit.as_ref()
    }

    /// Who runs it.
    pub fn actor(&self) -> Option<&Person> {
        self.actor.as_ref()
    }

    /// The page of the job that runs it.
    pub fn job_page(&self) -> Option<&Link> {
        self.job.as_ref().and_then(|job| job.url.as_ref())
    }

    /// The path of the project whose code is delivered, where it was named: a repository at hand may not tell it.
    pub fn named_project(&self) -> Option<&Line> {
        self.project.as_ref().filter(|_| self.is_named_project)?.path.as_ref()
    }

    /// The commit.
    pub fn sha(&self) -> Option<&CommitId> {
        self.commit.as_ref().map(|commit| &commit.sha)
    }

    fn project_in(&self, state: Option<&State>) -> Option<Project> {
        place::project_in(self.project.clone(), state)
    }
}

fn pattern(settings: &Settings) -> Result<Regex, Failure> {
    match &settings.config.tickets.pattern {
        None => Ok(default_ticket_pattern().clone()),
        Some(pattern) => Regex::new(pattern).map_err(Failure::usage),
    }
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
