//! What the gate is told.

use super::requests::Requests;
use crate::core::record::{Approval, ApprovalSource, CommitId, FollowUp, Line, Name, Person, Text, Time};
use crate::core::state::{Good, Mark, OpenReview, Place, PlaceKey, is_same_version};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// What is known of a deployment that wants to go ahead.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The present.
    pub now: DateTime<Utc>,
    /// Where to.
    pub environment: &'a Name,
    /// The service, where one repository has several.
    pub service: Option<&'a Name>,
    /// Project, service and environment.
    pub place: &'a PlaceKey,
    /// The version as people name it.
    pub version: &'a Line,
    /// The commit.
    pub commit: Option<&'a CommitId>,
    /// The branches that it may be deployed from.
    pub branches: &'a [String],
    /// Who runs it.
    pub actor: Option<&'a Person>,
    /// What is new since what runs there.
    pub change: &'a Change,
    /// What was said of it.
    pub said: &'a Said,
    /// What the log says.
    pub log: &'a LogFacts,
    /// What GitLab tells.
    pub told: &'a Told,
}

/// What GitLab tells, as far as it was asked.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The merge requests that brought the change, and their approvals.
    pub requests: Requests,
    /// What those decided who approve deployments to a protected environment.
    pub deployment: Vec<Candidate>,
    /// Who rejected the deployment.
    pub rejected_by: Vec<Person>,
    /// Whether a freeze period is on that was set in GitLab itself (docs.gitlab.com/user/project/releases, "Prevent unintentional
    /// releases by setting a deploy freeze").
    pub is_frozen: bool,
    /// The accounts of approvers, by login.
    pub accounts: BTreeMap<Name, Account>,
}

/// An account, as GitLab has it now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Whether it is a bot or service account.
    pub is_bot: bool,
    /// Whether it can be used.
    pub is_active: bool,
    /// Its access level in the project, 0 for none; 30 is a Developer, 40 a Maintainer (docs.gitlab.com/api/members).
    pub level: u64,
    /// Those of the policy's groups that it is in.
    pub groups: Vec<String>,
}

/// What is new.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which files.
    pub paths: Paths,
    /// Who wrote it, each once.
    pub authors: Vec<Author>,
    /// Whether history was too short to tell all of them.
    pub lacks_authors: bool,
}

/// Files that differ, those that are gone or had another name included.
#[derive(Debug, Clone)]
pub enum Paths {
    /// These, since what runs there.
    Since(Vec<String>),
    /// Nothing runs there that is known: all files of the commit.
    All(Vec<String>),
    /// It can't be told: why.
    Unknown(String),
}

/// Who wrote a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The person, where the policy knows the address.
    pub login: Option<Name>,
}

/// What was said of a deployment by those who start it, or in its commit.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// That it is an emergency.
    pub emergency: Vec<Saying>,
    /// That it has to go ahead without prior approval: why.
    pub break_glass: Option<Text>,
    /// Who approved it, by somebody's word.
    pub approved_by: Option<Name>,
    /// Whether the reason of a rollback is given.
    pub has_reason: bool,
}

/// That it is an emergency: where that was said, and why, where that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    /// Such as `--emergency`.
    pub place: String,
    /// Why.
    pub reason: Option<Text>,
}

/// Where a deployment goes from what runs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Nothing ran there.
    First,
    /// To what did not run there, or was put back from.
    Forward,
    /// What runs there is deployed once more.
    Again,
    /// To a version that went well there before what runs there now.
    Back,
    /// The log can't be reached; git says that it is older than what the branch has by now.
    MaybeBack,
    /// The log can't be reached.
    Unknown,
}

impl Direction {
    /// Where it goes to this version from what runs in this place, as far as the place tells.
    pub fn of(place: Option<&Place>, version: &Line, sha: Option<&CommitId>) -> Direction {
        let Some((place, runs)) = place.and_then(|place| Some((place, place.runs.as_ref()?))) else { return Direction::First };
        if is_same_version((version, sha), (&runs.version, runs.sha.as_ref())) {
            return Direction::Again;
        }
        let good = place.good.iter().find(|good| is_same_version((version, sha), (&good.version, good.sha.as_ref())));
        Direction::to_version_of(place, good.map(|good| good.first))
    }

    /// Where it goes to a version that went well there for the first time in the deployment that this start began.
    pub fn to_version_of(place: &Place, first: Option<u64>) -> Direction {
        let runs = place.runs.as_ref();
        let is_running = |good: &&Good| {
            runs.is_some_and(|runs| is_same_version((&good.version, good.sha.as_ref()), (&runs.version, runs.sha.as_ref())))
        };
        let began = place.good.iter().find(is_running).map(|good| good.first).or(runs.map(|runs| runs.start));
        match first.zip(began) {
            Some((first, began)) if first < began => Direction::Back,
            _ => Direction::Forward,
        }
    }
}

/// What the log says.
#[derive(Debug, Clone)]
pub enum LogFacts {
    /// It was read.
    Read {
        /// Where the deployment goes from what runs there.
        direction: Direction,
        /// Holds there.
        holds: Vec<Mark>,
        /// Reviews that are owed there.
        reviews: Vec<OpenReview>,
        /// Approvals that may count, and such as nearly do.
        approvals: Vec<Candidate>,
    },
    /// It can't be reached.
    Unreachable {
        /// Why.
        because: String,
        /// What can be told without it, or by a copy that was read before.
        direction: Direction,
    },
}

impl LogFacts {
    /// Holds, as far as they are known.
    pub fn holds(&self) -> &[Mark] {
        match self {
            LogFacts::Read { holds, .. } => holds,
            LogFacts::Unreachable { .. } => &[],
        }
    }

    /// Reviews that are owed, as far as they are known.
    pub fn reviews(&self) -> &[OpenReview] {
        match self {
            LogFacts::Read { reviews, .. } => reviews,
            LogFacts::Unreachable { .. } => &[],
        }
    }
}

/// An approval that was found.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// It, as a record has it.
    pub approval: Approval,
    /// The place that it is for.
    pub place: Option<PlaceKey>,
    /// Who signed it, where it is a record.
    pub signer: Option<Name>,
    /// What it says about the review afterwards.
    pub follow_up: Option<FollowUp>,
    /// Whether the log's state has it among those that can be used.
    pub is_open: bool,
    /// The record of the deployment that used it up.
    pub used_by: Option<u64>,
    /// Whether the same person withdrew it.
    pub is_withdrawn: bool,
}

impl Facts<'_> {
    /// The approval that somebody claims there is.
    pub fn claimed_approval(&self) -> Option<Candidate> {
        let approval = Approval {
            source: ApprovalSource::Claimed,
            approver: Person { login: Some(self.said.approved_by.clone()?), ..Person::default() },
            at: Some(Time::new(self.now)),
            note: None,
            url: None,
            note_id: None,
            note_sha256: None,
            seq: None,
            sha256: None,
            commit: self.commit.cloned(),
            covers: Vec::new(),
            before_start: None,
            expires_at: None,
            newer: Default::default(),
        };
        let place = Some(self.place.clone());
        Some(Candidate { approval, place, signer: None, follow_up: None, is_open: true, used_by: None, is_withdrawn: false })
    }

    /// Where it goes from what runs there.
    pub fn direction(&self) -> Direction {
        match self.log {
            LogFacts::Read { direction, .. } | LogFacts::Unreachable { direction, .. } => *direction,
        }
    }

    /// Why it is an emergency, in the words of whoever said so.
    pub fn emergency_reason(&self) -> Option<Text> {
        self.said.emergency.iter().find_map(|saying| saying.reason.clone()).or_else(|| Text::clean("emergency"))
    }
}
