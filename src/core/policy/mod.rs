//! The team's rules for deployments, checked: what `.deploy-record.yml` comes to, and the built-in rules without one.

mod calendar;
mod freeze;
mod globs;

pub use calendar::{Calendar, Span, Zone};
pub use freeze::Freeze;
pub use globs::{BranchPattern, Globs};

use crate::core::record::shape::choice;
use crate::core::record::{ApprovalSource, ClassName, Name};
use chrono::TimeDelta;
use std::collections::BTreeMap;

/// The rules by which the gate decides.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Whether they were written down by the team; otherwise they are the built-in ones.
    pub are_written: bool,
    /// For each environment that is named, when it asks for an approval.
    pub environments: BTreeMap<Name, ApprovalFor>,
    /// The services of a repository that has several, with the paths that are theirs.
    pub services: BTreeMap<Name, Globs>,
    /// What makes a change sensitive, by name, in the order of the file.
    pub sensitive: Vec<Sensitive>,
    /// What makes it an emergency, besides those who say so.
    pub emergency: EmergencyRules,
    /// The review that is owed afterwards.
    pub follow_up: FollowUpRule,
    /// What an approval must be.
    pub approval: ApprovalRules,
    /// Whether a rollback puts a hold on what comes after it.
    pub rollback_holds: bool,
    /// When nothing goes forward.
    pub freezes: Vec<Freeze>,
    /// Time zone and holidays.
    pub calendar: Calendar,
    /// Which git addresses are whose.
    pub people: People,
    /// What happens while the log can't be reached.
    pub unreachable: WhenUnreachable,
}

/// Something that the team watches.
#[derive(Debug, Clone, Default)]
pub struct Sensitive {
    /// Its name, such as `billing`.
    pub name: String,
    /// Paths that belong to it.
    pub paths: Globs,
    /// Labels of merge requests that say so.
    pub labels: Vec<String>,
}

/// What makes a deployment an emergency.
#[derive(Debug, Clone, Default)]
pub struct EmergencyRules {
    /// Branches that are deployed in emergencies.
    pub branches: Vec<BranchPattern>,
    /// Labels of merge requests that say so.
    pub labels: Vec<String>,
    /// Whether a commit that no merge request brought is an emergency.
    pub direct_push: bool,
}

/// The review that is owed after an emergency.
#[derive(Debug, Clone)]
pub struct FollowUpRule {
    /// By when.
    pub within: Span,
    /// Who should do it.
    pub assignee: Option<Name>,
    /// What happens while it is overdue.
    pub overdue: Overdue,
    /// Whether an issue in GitLab reminds of it.
    pub issue: bool,
}

impl Default for FollowUpRule {
    fn default() -> Self {
        FollowUpRule { within: Span::BusinessDays(1), assignee: None, overdue: Overdue::Warn, issue: false }
    }
}

/// What an approval must be to count.
#[derive(Debug, Clone)]
pub struct ApprovalRules {
    /// Who may approve; empty where everybody may whom the trust root names.
    pub approvers: Vec<Name>,
    /// Groups of GitLab whose members may approve, by path; besides those who are named.
    pub groups: Vec<String>,
    /// The least role that an approver must have in the project.
    pub minimum_access: Option<Access>,
    /// Which kinds of approval count.
    pub accept: Vec<ApprovalSource>,
    /// Whether it must be another person's.
    pub four_eyes: FourEyes,
    /// For how long it counts.
    pub valid_for: TimeDelta,
}

/// The longest that an approval of an emergency counts.
const LONGEST_EMERGENCY: TimeDelta = TimeDelta::hours(24);

impl ApprovalRules {
    /// For how long an approval counts for a deployment of this class.
    pub fn valid_for(&self, class: ClassName) -> TimeDelta {
        match class {
            ClassName::Emergency => self.valid_for.min(LONGEST_EMERGENCY),
            ClassName::Routine | ClassName::Sensitive => self.valid_for,
        }
    }
}

impl Default for ApprovalRules {
    fn default() -> Self {
        let all = ApprovalSource::ALL.iter().copied();
        ApprovalRules {
            approvers: Vec::new(),
            groups: Vec::new(),
            minimum_access: None,
            accept: all.filter(|source| *source != ApprovalSource::Claimed).collect(),
            four_eyes: FourEyes::Before,
            valid_for: TimeDelta::days(7),
        }
    }
}

/// Which git addresses are whose.
#[derive(Debug, Clone, Default)]
pub struct People(BTreeMap<String, Name>);

/// The host part of the addresses that GitLab gives to people who hide theirs: `123-chen@users.noreply.gitlab.com`.
const HIDDEN: &str = "@users.noreply.";

impl People {
    /// Notes that an address belongs to a person; addresses are compared without regard to case.
    ///
    /// # Errors
    /// Where it belongs to another person.
    pub fn add(&mut self, address: &str, login: &Name) -> Result<(), String> {
        match self.0.insert(address.to_lowercase(), login.clone()) {
            Some(other) if other != *login => Err(format!("`{address}` is of `{other}` and of `{login}`")),
            _ => Ok(()),
        }
    }

    /// Whose address it is, where that is known.
    pub fn login(&self, address: &str) -> Option<Name> {
        let address = address.to_lowercase();
        self.0.get(&address).cloned().or_else(|| hidden_login(&address))
    }
}

/// The login in an address by which GitLab hides a person's own.
fn hidden_login(address: &str) -> Option<Name> {
    let (person, _) = address.split_once(HIDDEN)?;
    let (number, login) = person.split_once('-')?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| Name::new(login).ok()).flatten()
}

/// What happens to a deployment of each class while the log can't be reached.
#[derive(Debug, Clone)]
pub struct WhenUnreachable {
    /// A deployment that needs no note.
    pub routine: Unreachable,
    /// One that touches something that the policy names.
    pub sensitive: Unreachable,
    /// One that skips the usual way.
    pub emergency: Unreachable,
}

impl Default for WhenUnreachable {
    fn default() -> Self {
        WhenUnreachable { routine: Unreachable::Go, sensitive: Unreachable::Stop, emergency: Unreachable::Go }
    }
}

impl WhenUnreachable {
    /// What happens to a deployment of this class.
    pub fn of(&self, class: ClassName) -> Unreachable {
        match class {
            ClassName::Routine => self.routine,
            ClassName::Sensitive => self.sensitive,
            ClassName::Emergency => self.emergency,
        }
    }

    /// For each class, to stop where either says so.
    #[must_use]
    pub fn or_stricter(&self, other: &WhenUnreachable) -> WhenUnreachable {
        let of = |class| self.of(class).max(other.of(class));
        WhenUnreachable {
            routine: of(ClassName::Routine),
            sensitive: of(ClassName::Sensitive),
            emergency: of(ClassName::Emergency),
        }
    }
}

choice! {
    /// What happens to a deployment while the log can't be reached; the stricter comes later.
    Unreachable {
        /// It goes ahead, and its record waits in the spool.
        Go = "go",
        /// It stops.
        Stop = "stop",
    }
}

choice! {
    /// Which deployments to an environment need an approval; the stricter comes later.
    ApprovalFor {
        /// None.
        Never = "never",
        /// Sensitive ones and emergencies.
        Sensitive = "sensitive",
        /// All.
        Always = "always",
    }
}

choice! {
    /// A role in a project (docs.gitlab.com/api/members, "Roles").
    Access {
        /// Level 20.
        Reporter = "reporter",
        /// Level 30.
        Developer = "developer",
        /// Level 40.
        Maintainer = "maintainer",
        /// Level 50.
        Owner = "owner",
    }
}

impl Access {
    /// The role's number, by which roles compare.
    pub fn level(self) -> u64 {
        match self {
            Access::Reporter => 20,
            Access::Developer => 30,
            Access::Maintainer => 40,
            Access::Owner => 50,
        }
    }
}

choice! {
    /// Whether two people must have been at it; the stricter comes later.
    FourEyes {
        /// No.
        Off = "off",
        /// Another person reviews it afterwards.
        After = "after",
        /// Another person approves it beforehand.
        Before = "before",
    }
}

choice! {
    /// What happens while a review is overdue; the stricter comes later.
    Overdue {
        /// It is said.
        Warn = "warn",
        /// Nothing but emergencies goes forward there.
        Refuse = "refuse",
    }
}

impl Rules {
    /// When this environment asks for an approval.
    pub fn approval_for(&self, environment: &Name) -> ApprovalFor {
        self.environments.get(environment).copied().unwrap_or(ApprovalFor::Sensitive)
    }

    /// Whether a rule goes by what only GitLab tells of merge requests.
    pub fn needs_merge_requests(&self) -> bool {
        let emergency = &self.emergency;
        emergency.direct_push || !emergency.labels.is_empty() || self.sensitive.iter().any(|rule| !rule.labels.is_empty())
    }

    /// Whether a rule goes by what GitLab tells only to an access token: who is a member of what.
    pub fn needs_members(&self) -> bool {
        !self.approval.groups.is_empty() || self.approval.minimum_access.is_some()
    }

    /// Whether a rule may ask for an approval. An environment that is not named asks for one of what is sensitive.
    pub fn may_ask(&self) -> bool {
        let asks = |asked: &ApprovalFor| *asked != ApprovalFor::Never;
        let emergency = &self.emergency;
        let is_watched = !self.sensitive.is_empty()
            || !emergency.branches.is_empty()
            || !emergency.labels.is_empty()
            || emergency.direct_push;
        is_watched || self.environments.is_empty() || self.environments.values().any(asks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect(text)
    }

    #[test]
    fn an_address_tells_whose_it_is() {
        let mut people = People::default();
        people.add("Chen@Acme.example", &name("chen")).expect("new");
        people.add("chen@acme.example", &name("chen")).expect("the same");
        assert!(people.add("chen@acme.example", &name("dana")).expect_err("two").contains("`chen`"));
        let cases = [
            ("CHEN@acme.example", Some("dana")),
            ("other@acme.example", None),
            ("42-kim.lee@users.noreply.gitlab.example", Some("kim.lee")),
            ("kim@users.noreply.gitlab.example", None),
            ("x-kim@users.noreply.gitlab.example", None),
            ("42-@users.noreply.gitlab.example", None),
        ];
        people.0.insert("chen@acme.example".to_owned(), name("dana"));
        for (address, login) in cases {
            assert_eq!(people.login(address), login.map(name), "{address}");
        }
    }

    #[test]
    fn an_unreachable_log_stops_what_either_stops() {
        let strict = WhenUnreachable { emergency: Unreachable::Stop, ..WhenUnreachable::default() };
        let both = strict.or_stricter(&WhenUnreachable { routine: Unreachable::Stop, ..WhenUnreachable::default() });
        assert!(ClassName::ALL.iter().all(|class| both.of(*class) == Unreachable::Stop));
        assert_eq!(WhenUnreachable::default().of(ClassName::Sensitive), Unreachable::Stop);
        assert_eq!(WhenUnreachable::default().of(ClassName::Emergency), Unreachable::Go);
    }

    #[test]
    fn an_approval_of_an_emergency_counts_for_a_day() {
        let rules = ApprovalRules::default();
        assert_eq!(rules.valid_for(ClassName::Sensitive), TimeDelta::days(7));
        assert_eq!(rules.valid_for(ClassName::Emergency), TimeDelta::hours(24));
        let short = ApprovalRules { valid_for: TimeDelta::hours(2), ..rules };
        assert_eq!(short.valid_for(ClassName::Emergency), TimeDelta::hours(2));
    }
}
