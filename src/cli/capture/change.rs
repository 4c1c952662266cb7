//! What is new since the version that runs there: what the record says of it, and what the gate judges.

use super::Delivery;
use crate::cli::context::Context;
use crate::cli::location::Location;
use crate::cli::settings::Settings;
use crate::core::gate::{Author, Change, Paths};
use crate::core::policy::ApprovalFor;
use crate::core::record::{Changes, CommitId, Delivered, Line, Link};
use crate::git::GitRemote;
use crate::http::Deadline;
use crate::repo::{Compared, Deepened};
use anyhow::anyhow;

/// What came of the comparison with what runs there.
#[derive(Debug, Clone)]
pub(super) enum Comparison {
    /// Nothing runs there that is known.
    First,
    /// They were compared, as far as history goes.
    Made(Box<Compared>),
    /// They can't be: why.
    Impossible(String),
}

impl Comparison {
    /// Whether the commit may be older than what runs there.
    pub fn may_precede(&self) -> bool {
        match self {
            Comparison::First => false,
            Comparison::Made(compared) => compared.may_precede && !compared.descends,
            Comparison::Impossible(_) => true,
        }
    }
}

impl Delivery {
    /// Compares with what runs there; once, however often the append is tried. History that a shallow clone lacks is fetched.
    pub(super) fn compared(&self, previous: Option<&Delivered>, ctx: &Context, settings: &Settings) -> Comparison {
        let mut known = self.compared.borrow_mut();
        match &*known {
            Some((same, comparison)) if same.as_ref() == previous => comparison.clone(),
            _ => {
                let comparison = self.compare_with(previous, ctx, settings);
                *known = Some((previous.cloned(), comparison.clone()));
                comparison
            }
        }
    }

    fn compare_with(&self, previous: Option<&Delivered>, ctx: &Context, settings: &Settings) -> Comparison {
        let Some(previous) = previous else { return Comparison::First };
        let impossible = |words: &str| Comparison::Impossible(words.to_owned());
        if self.is_other_project {
            return impossible("the code is another project's, which is not at hand");
        }
        let Some(commit) = &self.commit else { return impossible("no commit is known") };
        let Some(sha) = &previous.sha else {
            return Comparison::Impossible(format!("record {} names no commit of {}", previous.seq, previous.version));
        };
        match self.compare(sha, &commit.sha, ctx, settings) {
            Ok(compared) => Comparison::Made(Box::new(compared)),
            Err(problem) => {
                ctx.ui.warn(&format!("can't tell what is new since {}: {problem}", sha.short()));
                let changes = Changes { incomplete: Some(true), ..Changes::default() };
                Comparison::Made(Box::new(Compared { changes, ..Compared::default() }))
            }
        }
    }

    fn compare(&self, previous: &CommitId, commit: &CommitId, ctx: &Context, settings: &Settings) -> anyhow::Result<Compared> {
        let checkout = settings.checkout.as_ref().ok_or_else(|| anyhow!("there is no repository at hand"))?;
        let path = self.project.as_ref().and_then(|project| project.path.as_ref());
        let path = path.map(Line::as_str);
        let compared = checkout.compare(previous, commit, &self.pattern, path)?;
        let asks = settings.gitlab.is_some();
        let is_watched = |path: &str| self.is_watched(path, settings);
        if compared.changes.incomplete != Some(true) {
            let steps = if asks { checkout.steps(Some(previous), commit, &is_watched)? } else { None };
            return Ok(Compared { steps, ..compared });
        }
        let Some(remote) = project_remote(ctx, settings) else { return Ok(compared) };
        ctx.ui.verbose("the clone is too shallow to compare with what runs there; fetching more history");
        // a part of the time only: what is new is worth knowing, the record is worth more
        let deadline = Deadline::after(ctx.global.timeout / 4);
        match Deepened::fetch(&remote, previous, commit, deadline) {
            Ok(deeper) => {
                let compared = deeper.compare(previous, commit, &self.pattern, path)?;
                let is_whole = compared.changes.incomplete != Some(true);
                let steps = if asks && is_whole { deeper.steps(previous, commit, &is_watched)? } else { None };
                Ok(Compared { steps, ..compared })
            }
            Err(problem) => {
                ctx.ui.warn(&format!("can't fetch more history: {problem}"));
                Ok(compared)
            }
        }
    }

    /// Whether it makes a difference by which merge request a file was changed.
    pub(super) fn is_watched(&self, path: &str, settings: &Settings) -> bool {
        let rules = &settings.config.rules;
        let are_all = rules.needs_merge_requests() || rules.approval_for(self.environment()) == ApprovalFor::Always;
        are_all || rules.sensitive.iter().any(|rule| rule.paths.has(path))
    }

    /// What the record says of it.
    pub(super) fn changes(&self, previous: Option<&Delivered>, comparison: &Comparison) -> Option<Changes> {
        let mut changes = match comparison {
            Comparison::Made(compared) => compared.changes.clone(),
            Comparison::First | Comparison::Impossible(_) => Changes::default(),
        };
        if let (Comparison::Made(_), Some(previous), Some(commit)) =
            (comparison, previous.and_then(|previous| previous.sha.as_ref()), &self.commit)
        {
            changes.compare_url = self.compare_url(previous, &commit.sha);
        }
        with_tickets(changes, &self.tickets)
    }

    fn compare_url(&self, previous: &CommitId, commit: &CommitId) -> Option<Link> {
        let url = self.project.as_ref()?.url.as_ref()?;
        Link::new(format!("{url}/-/compare/{previous}...{commit}")).ok()
    }

    /// What the gate judges.
    pub(super) fn change(&self, comparison: &Comparison, settings: &Settings) -> Change {
        let unknown = |words: &str| Paths::Unknown(words.to_owned());
        let (paths, addresses, lacks_authors) = match comparison {
            // of another project's code nobody here knows the authors
            Comparison::Impossible(because) => (unknown(because), Vec::new(), !self.is_other_project),
            Comparison::First => (self.all_paths(settings), self.own_addresses(settings), false),
            Comparison::Made(compared) => {
                let paths = compared.paths.clone().map(Paths::Since);
                let paths = paths.unwrap_or_else(|| unknown("history is too short to compare with what runs there"));
                (paths, compared.addresses.clone(), compared.changes.incomplete == Some(true))
            }
        };
        let people = &settings.config.rules.people;
        let mut authors: Vec<_> = addresses.iter().map(|address| Author { login: people.login(address) }).collect();
        if self.is_other_project {
            authors.push(Author { login: None });
        }
        Change { paths, authors, lacks_authors }
    }

    /// What the gate judges where it can't be told what runs there.
    pub(super) fn change_since_unknown(&self, because: &str, settings: &Settings) -> Change {
        let paths = Paths::Unknown(because.to_owned());
        Change { paths, ..self.change(&Comparison::First, settings) }
    }

    fn all_paths(&self, settings: &Settings) -> Paths {
        let commit = self.commit.as_ref().filter(|_| !self.is_other_project);
        let paths = settings.checkout.as_ref().zip(commit).map(|(checkout, commit)| checkout.all_paths(&commit.sha));
        match paths {
            Some(Ok(Some(paths))) => Paths::All(paths),
            Some(Err(problem)) => Paths::Unknown(problem.to_string()),
            _ => Paths::Unknown("the files of the commit are not at hand".to_owned()),
        }
    }

    fn own_addresses(&self, settings: &Settings) -> Vec<String> {
        let commit = self.commit.as_ref().filter(|_| !self.is_other_project);
        settings.checkout.as_ref().zip(commit).map(|(checkout, commit)| checkout.addresses(&commit.sha)).unwrap_or_default()
    }
}

/// The tickets that were named come first.
pub(super) fn with_tickets(mut changes: Changes, tickets: &[Line]) -> Option<Changes> {
    for ticket in tickets.iter().rev() {
        changes.tickets.retain(|known| known != ticket);
        changes.tickets.insert(0, ticket.clone());
    }
    (changes != Changes::default()).then_some(changes)
}

/// The remote that has the project's history: the job's own project.
fn project_remote(ctx: &Context, settings: &Settings) -> Option<GitRemote> {
    let ci = settings.ci.as_ref()?;
    let location = Location::by_default(ctx, Some(ci), None, "").ok()?;
    let Location::Remote { read, .. } = location else { return None };
    read.remote(ctx).ok()
}
