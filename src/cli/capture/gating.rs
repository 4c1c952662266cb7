//! A deployment before the gate: the facts gathered, the decision, and what the record says of it.

use super::change::Comparison;
use super::told;
use super::{Delivery, Progress};
use crate::cli::context::Context;
use crate::cli::settings::Settings;
use crate::core::gate::{self, Candidate, Change, Code, Decision, Direction, Effect, Facts, LogFacts, Told};
use crate::core::record::{
    ApprovalSource, ClassName, Delivered, Finding, Kind, Line, Name, Record, Rollback, Status, Strength, Time,
};
use crate::core::state::{Mark, OpenReview, Place, PlaceKey, State, is_same_version};
use crate::http::Deadline;
use crate::recorder::{Known, RecordError, Wanted};
use std::time::Duration;

/// A deployment as it begins.
pub struct Start {
    /// Its record; where it is turned away, the refusal.
    pub record: Record,
    /// What the gate made of it; `None` where it had begun before and is only told again.
    pub decision: Option<Decision>,
}

/// How things stand where it goes, as the log knows it.
struct Standing {
    key: PlaceKey,
    place: Option<Place>,
    previous: Option<Delivered>,
    comparison: Comparison,
}

/// How long is looked for what a copy of the log on this machine knows.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// What a record says in fields of its own, so that it is not said again among its findings.
const SAID_ELSEWHERE: &[Code] = &[
    Code::NoPolicy,
    Code::Sensitive,
    Code::Emergency,
    Code::ChangeUnknown,
    Code::Approved,
    Code::BreakGlass,
    Code::ReviewDue,
    Code::Rollback,
    Code::ReasonMissing,
];

impl Delivery {
    /// The start of this deployment on top of this log, if the gate lets it through, else the refusal. A job that deployed the same
    /// before gets the next attempt, so that a second run in one job is a second deployment and not taken for a repetition of the
    /// first; unless that one is open, is signed by `own_open`, and so is this very one.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub fn start(
        &self,
        known: &Known,
        at: Time,
        own_open: Option<&Name>,
        ctx: &Context,
        settings: &Settings,
    ) -> Result<Start, RecordError> {
        self.refuse_lacking(known, ctx, settings)?;
        let standing = self.standing(known, ctx, settings)?;
        let mut record = self.record_at(&standing, known.state(), Progress::begun(at), settings);
        if let Some(begun) = own_open.map(|signer| begun_before(&record, signer, known)).transpose()?.flatten() {
            return Ok(Start { record: begun, decision: None });
        }
        let decision = self.decide_at(&standing, known, ctx, settings)?;
        if !decision.is_allowed() {
            return Ok(Start { record: refusal(record, &decision), decision: Some(decision) });
        }
        self.apply(&mut record, &decision, standing.place.as_ref(), settings);
        self.find_target(&mut record, &standing, known)?;
        next_attempt(&mut record, known.state());
        Ok(Start { record, decision: Some(decision) })
    }

    /// The record of this deployment, which has ended, on top of this log; the gate only says what it would have.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub fn record(
        &self,
        known: &Known,
        progress: Progress,
        ctx: &Context,
        settings: &Settings,
    ) -> Result<(Record, Decision), RecordError> {
        self.refuse_lacking(known, ctx, settings)?;
        let standing = self.standing(known, ctx, settings)?;
        let mut record = self.record_at(&standing, known.state(), progress, settings);
        let decision = self.decide_at(&standing, known, ctx, settings)?;
        self.apply(&mut record, &decision, standing.place.as_ref(), settings);
        self.find_target(&mut record, &standing, known)?;
        if !decision.is_allowed() && progress.status != Status::Canceled {
            // what nobody could stop any more is for another person to look at
            record.follow_up = record.follow_up.or_else(|| Some(gate::follow_up(&settings.config.rules, ctx.now())));
        }
        Ok((record, decision))
    }

    /// What the gate makes of it on top of this log.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub fn decide(&self, known: &Known, ctx: &Context, settings: &Settings) -> Result<Decision, RecordError> {
        self.refuse_lacking(known, ctx, settings)?;
        self.decide_at(&self.standing(known, ctx, settings)?, known, ctx, settings)
    }

    /// The start of this deployment where the log can't be reached, with what the gate makes of it. `copy` is what a copy of the log
    /// knew of the place.
    pub fn start_without_log(
        &self,
        at: Time,
        copy: Option<&Place>,
        because: &str,
        ctx: &Context,
        settings: &Settings,
    ) -> Start {
        let mut record = self.without_log(Progress::begun(at), settings);
        let decision = self.decide_without_log(copy, because, ctx, settings);
        if !decision.is_allowed() {
            return Start { record: refusal(record, &decision), decision: Some(decision) };
        }
        self.apply(&mut record, &decision, copy, settings);
        Start { record, decision: Some(decision) }
    }

    /// What the gate makes of it where the log can't be reached.
    pub fn decide_without_log(&self, copy: Option<&Place>, because: &str, ctx: &Context, settings: &Settings) -> Decision {
        let change = self.change_since_unknown("what runs there, only the log knows", settings);
        let known = copy.map(|place| (Direction::of(Some(place), &self.version, self.sha()), place.has_dropped_good()));
        let sha = self.sha().zip(settings.checkout.as_ref());
        let branch = self.commit.as_ref().and_then(|commit| commit.branch.as_ref()).map(Line::as_str);
        let direction = match known {
            Some((known @ (Direction::Back | Direction::Again), _)) => known,
            // the copy has all versions that ever went well there, and this is none of them
            Some((_, false)) => Direction::Unknown,
            _ if sha.is_some_and(|(sha, checkout)| checkout.is_behind(sha, branch)) => Direction::MaybeBack,
            _ => Direction::Unknown,
        };
        let log = LogFacts::Unreachable { because: because.to_owned(), direction };
        let told = Told { is_frozen: is_frozen(settings), ..Told::default() };
        self.ask(&self.key(None), &change, &log, &told, ctx, settings)
    }

    /// Its place in a log with this state.
    pub fn key(&self, state: Option<&State>) -> PlaceKey {
        let project = self.project_in(state);
        PlaceKey::new(project.as_ref(), self.service.as_ref(), &self.environment.name)
    }

    /// What a copy of the log on this machine knows of the place.
    pub fn copied_place(&self, ctx: &Context, settings: &Settings) -> Option<Place> {
        let store = settings.open_log_in_passing(ctx).ok()?;
        let known = Known::fetch(&store, &settings.trust, Deadline::after(LONGEST_LOOK)).ok()?;
        known.place(&self.key(known.state())).ok().flatten()
    }

    /// What the change is, as the gate would judge it now.
    pub fn change_here(&self, ctx: &Context, settings: &Settings) -> Change {
        let compared = self.compared.borrow().clone();
        match compared {
            Some((_, comparison)) => self.change(&comparison, settings),
            None => self.change(&self.compared(None, ctx, settings), settings),
        }
    }

    fn standing(&self, known: &Known, ctx: &Context, settings: &Settings) -> Result<Standing, RecordError> {
        let key = self.key(known.state());
        let place = known.place(&key)?;
        let runs = place.as_ref().and_then(|place| place.runs.clone());
        let previous =
            runs.map(|runs| Delivered { seq: runs.seq, version: runs.version, sha: runs.sha, newer: Default::default() });
        let comparison = self.compared(previous.as_ref(), ctx, settings);
        Ok(Standing { key, place, previous, comparison })
    }

    fn record_at(&self, standing: &Standing, state: Option<&State>, progress: Progress, settings: &Settings) -> Record {
        let mut record = self.without_log(progress, settings);
        record.previous = standing.previous.clone();
        record.changes = self.changes(record.previous.as_ref(), &standing.comparison);
        record.project = self.project_in(state);
        record
    }

    fn decide_at(
        &self,
        standing: &Standing,
        known: &Known,
        ctx: &Context,
        settings: &Settings,
    ) -> Result<Decision, RecordError> {
        let path = self.project.as_ref().and_then(|project| project.path.as_ref());
        let wanted = Wanted { place: &standing.key, path, commit: self.sha() };
        let change = self.change(&standing.comparison, settings);
        let direction = self.direction(standing, known)?;
        let (holds, reviews) = debts(&standing.key, known.state());
        let signed = known.approvals(wanted, false)?;
        let mut told = self.told(&standing.comparison, standing.previous.as_ref(), ctx, settings);
        let decide = |told: &Told, approvals: Vec<Candidate>| {
            let (holds, reviews) = (holds.clone(), reviews.clone());
            let log = LogFacts::Read { direction, holds, reviews, approvals };
            self.ask(&standing.key, &change, &log, told, ctx, settings)
        };
        let mut decision = decide(&told, signed.clone());
        if !decision.needs_approval {
            return Ok(decision);
        }
        told::ask_for_accounts(&mut told, &signed, ctx, settings);
        decision = decide(&told, signed.clone());
        if is_missing(&decision) {
            self.ask_for_approvals(&mut told, &decision, ctx, settings);
            told::ask_for_accounts(&mut told, &signed, ctx, settings);
            decision = decide(&told, signed);
        }
        if is_missing(&decision) {
            // what nearly counts tells why it does not
            decision = decide(&told, known.approvals(wanted, true)?);
        }
        *self.told.borrow_mut() = Some((standing.previous.clone(), told));
        Ok(decision)
    }

    /// What GitLab tells of the change; asked once, however often the append is tried.
    fn told(&self, comparison: &Comparison, previous: Option<&Delivered>, ctx: &Context, settings: &Settings) -> Told {
        let mut known = self.told.borrow_mut();
        match &*known {
            Some((same, told)) if same.as_ref() == previous => told.clone(),
            _ => {
                let requests = self.requests(comparison, ctx, settings);
                let told = Told { requests, is_frozen: is_frozen(settings), ..Told::default() };
                *known = Some((previous.cloned(), told.clone()));
                told
            }
        }
    }

    /// Where it goes from what runs there. The history is read only for what may be older than that, and have gone out of the state.
    fn direction(&self, standing: &Standing, known: &Known) -> Result<Direction, RecordError> {
        let place = standing.place.as_ref();
        let direction = Direction::of(place, &self.version, self.sha());
        match (direction, place.filter(|place| place.has_dropped_good()), self.sha()) {
            (Direction::Forward, Some(place), Some(sha)) if standing.comparison.may_precede() => {
                Ok(Direction::to_version_of(place, known.first_success(&standing.key, sha)?))
            }
            _ => Ok(direction),
        }
    }

    fn ask(
        &self,
        place: &PlaceKey,
        change: &Change,
        log: &LogFacts,
        told: &Told,
        ctx: &Context,
        settings: &Settings,
    ) -> Decision {
        let facts = Facts {
            now: ctx.now(),
            environment: &self.environment.name,
            service: self.service.as_ref(),
            place,
            version: &self.version,
            commit: self.sha(),
            branches: &self.branches(settings),
            actor: self.actor.as_ref(),
            change,
            said: &self.said,
            log,
            told,
        };
        gate::decide(&facts, &settings.config.rules)
    }

    /// The branches that it may be deployed from: the one that is known, and those that stand at the commit.
    fn branches(&self, settings: &Settings) -> Vec<String> {
        let commit = self.commit.as_ref().filter(|_| !self.is_other_project);
        let known = commit.and_then(|commit| commit.branch.as_ref()).map(ToString::to_string);
        let standing = settings.checkout.as_ref().zip(commit).map(|(checkout, commit)| checkout.branches_at(&commit.sha));
        known.into_iter().chain(standing.unwrap_or_default()).collect()
    }

    /// Writes into the record what the gate decided.
    fn apply(&self, record: &mut Record, decision: &Decision, place: Option<&Place>, settings: &Settings) {
        if settings.config.rules.are_written || decision.class.name != ClassName::Routine {
            record.class = Some(decision.class.clone());
        }
        record.approval = decision.approval.clone();
        record.break_glass = decision.break_glass.clone();
        record.overrides = decision.overrides.clone();
        record.follow_up = decision.follow_up.clone();
        record.findings = findings(decision);
        if let (Some(provenance), Some(approval)) = (&mut record.provenance, &decision.approval) {
            provenance.approval = Some(match approval.source {
                ApprovalSource::Claimed => Strength::Asserted,
                ApprovalSource::Signed => Strength::Observed,
                ApprovalSource::MergeRequestNote
                | ApprovalSource::MergeRequestApproval
                | ApprovalSource::DeploymentApproval => Strength::Fetched,
            });
        }
        self.tell_of_requests(record, decision);
        if matches!(decision.direction, Direction::Back | Direction::MaybeBack) {
            self.put_back(record, place, settings);
        }
    }

    /// What GitLab tells of the merge requests takes the place of what the commits' messages say.
    fn tell_of_requests(&self, record: &mut Record, decision: &Decision) {
        let told = self.told.borrow();
        let Some(brought) = told.as_ref().and_then(|(_, told)| told.requests.known()) else { return };
        if brought.requests.is_empty() {
            return;
        }
        let changes = record.changes.get_or_insert_default();
        changes.merge_requests = super::requests::as_recorded(brought, &decision.requests);
    }

    /// Names the version that is put back where it went well before all that the state has.
    fn find_target(&self, record: &mut Record, standing: &Standing, known: &Known) -> Result<(), RecordError> {
        let (Some(rollback), Some(sha)) = (record.rollback.as_mut().filter(|rollback| rollback.to.is_none()), self.sha())
        else {
            return Ok(());
        };
        let seq = known.first_success(&standing.key, sha)?;
        let (version, sha) = (self.version.clone(), Some(sha.clone()));
        rollback.to = seq.map(|seq| Delivered { seq, version, sha, newer: Default::default() });
        Ok(())
    }

    /// Makes a rollback of it.
    fn put_back(&self, record: &mut Record, place: Option<&Place>, settings: &Settings) {
        let good = place.map(|place| place.good.as_slice()).unwrap_or_default();
        let own = (&self.version, self.sha());
        let target = good.iter().find(|good| is_same_version((&good.version, good.sha.as_ref()), own));
        let is_undone = |first: u64| target.is_none_or(|target| first > target.first);
        let mut of: Vec<_> = good.iter().filter(|good| is_undone(good.first)).map(|good| good.seq).collect();
        of.sort_unstable();
        let reason = record.change_note.take().and_then(|note| note.summary);
        let to = target.map(|good| Delivered {
            seq: good.seq,
            version: good.version.clone(),
            sha: good.sha.clone(),
            newer: Default::default(),
        });
        // nobody named it now: it is called what it was called there
        if let Some(target) = target.filter(|_| !self.is_version_named) {
            record.version = Some(target.version.clone());
        }
        record.kind = Kind::Rollback;
        record.rollback = Some(Rollback {
            of,
            from: record.previous.clone(),
            to,
            reason_missing: reason.is_none().then_some(true),
            reason,
            hold: settings.config.rules.rollback_holds.then_some(true),
            ..Rollback::default()
        });
    }
}

/// The same start, where this job has recorded it, with this key, and it is open. Anybody else could have written it down before the
/// gate was asked.
fn begun_before(record: &Record, signer: &Name, known: &Known) -> Result<Option<Record>, RecordError> {
    let Some(state) = known.state() else { return Ok(None) };
    let Some(place) = PlaceKey::of(record).and_then(|key| state.place(&key)) else { return Ok(None) };
    for kind in [Kind::Deployment, Kind::Rollback] {
        let mut candidate = Record { kind, ..record.clone() };
        let is_open = |seq| place.open.iter().any(|open| open.seq == seq);
        if seek_attempt(&mut candidate, state, is_open)
            && let Some(seq) = state.recorded_by_job(&candidate)
        {
            let found = known.find_start(seq)?.record;
            let is_own = |found: &Record| found.late.as_ref().map_or(&found.signer, |late| &late.signer) == signer;
            return Ok(found.filter(is_own).map(|_| candidate));
        }
    }
    Ok(None)
}

/// Gives a deployment that the same job recorded before the next free number.
fn next_attempt(record: &mut Record, state: Option<&State>) {
    if let Some(state) = state {
        seek_attempt(record, state, |_| false);
    }
}

/// Counts the attempts that the same job recorded, up to one that is meant, or else to the next free number; whether one is meant.
fn seek_attempt(record: &mut Record, state: &State, is_meant: impl Fn(u64) -> bool) -> bool {
    let mut attempt = 1;
    while let Some(seq) = state.recorded_by_job(record) {
        if is_meant(seq) {
            return true;
        }
        attempt += 1;
        if let Some(job) = &mut record.job {
            job.attempt = Some(attempt);
        }
    }
    false
}

/// The record of an attempt that was turned away: it never began.
fn refusal(record: Record, decision: &Decision) -> Record {
    let mut refusal = Record { kind: Kind::Refusal, status: None, started_at: None, ..record };
    if let Some(provenance) = &mut refusal.provenance {
        (provenance.status, provenance.times) = (None, None);
    }
    refusal.class = Some(decision.class.clone());
    refusal.findings = findings(decision);
    refusal
}

fn findings(decision: &Decision) -> Vec<Finding> {
    let is_said = |finding: &&gate::Finding| finding.effect != Effect::Says || !SAID_ELSEWHERE.contains(&finding.code);
    let line = |text: &str| Line::clean(text);
    let finding = |finding: &gate::Finding| {
        Some(Finding { code: line(finding.code.as_str())?, message: line(&finding.message)?, newer: Default::default() })
    };
    decision.findings.iter().filter(is_said).filter_map(finding).collect()
}

/// Whether GitLab says by its variable that a freeze period of its own is on; a team without a policy goes by what it does with that.
fn is_frozen(settings: &Settings) -> bool {
    settings.config.rules.are_written && settings.ci.as_ref().is_some_and(|ci| ci.is_frozen)
}

fn is_missing(decision: &Decision) -> bool {
    decision.findings.iter().any(|finding| finding.code == Code::ApprovalMissing)
}

/// Holds and reviews that are owed in a place.
fn debts(key: &PlaceKey, state: Option<&State>) -> (Vec<Mark>, Vec<OpenReview>) {
    let Some(state) = state else { return Default::default() };
    let holds = state.holds.iter().filter(|hold| hold.place() == *key).cloned().collect();
    let reviews = state.reviews.iter().filter(|review| review.place() == *key).cloned().collect();
    (holds, reviews)
}
