//! The whole decision, against a second opinion written as plainly as possible; and what must hold whatever the facts are.

use super::*;
use crate::core::policy::{
    ApprovalFor, Calendar, FourEyes, Freeze, Globs, Overdue, Rules, Sensitive, Unreachable, WhenUnreachable,
};
use crate::core::record::{ApprovalSource, ClassName, CommitId, Line, Name, Person, Project, Text, Time};
use crate::core::state::{Mark, OpenReview, PlaceKey};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    Name::new(text).expect(text)
}

fn line(text: &str) -> Line {
    Line::clean(text).expect(text)
}

fn person(login: &str) -> Person {
    Person { login: Some(name(login)), ..Person::default() }
}

fn commit(digit: char) -> CommitId {
    CommitId::new(digit.to_string().repeat(40)).expect("40 digits")
}

/// A Wednesday, 12:00.
fn now() -> DateTime<Utc> {
    "2026-11-18T12:00:00Z".parse().expect("time")
}

fn place(project: u64, service: &str, environment: &str) -> PlaceKey {
    let project = Project { id: Some(project), ..Project::default() };
    PlaceKey::new(Some(&project), Some(&name(service)), &name(environment))
}

/// Everything that the gate is told, to be changed and asked again.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub rules: Rules,
    pub actor: Option<Person>,
    branches: Vec<String>,
    pub change: Change,
    pub said: Said,
    log: LogFacts,
    pub told: Told,
}

impl World {
    /// A routine deployment, forward, by ann, of a change that kim wrote.
    fn new() -> World {
        let mut paths = Globs::default();
        paths.add("src/billing/**").expect("pattern");
        let rules = Rules {
            are_written: true,
            sensitive: vec![Sensitive { name: "billing".to_owned(), paths, labels: Vec::new() }],
            approval: crate::core::policy::ApprovalRules {
                approvers: vec![name("dana"), name("kim"), name("ann")],
                ..Default::default()
            },
            ..Rules::default()
        };
        World {
            rules,
            actor: Some(person("ann")),
            branches: vec!["main".to_owned()],
            change: Change {
                paths: Paths::Since(vec!["README.md".to_owned()]),
                authors: vec![Author { login: Some(name("kim")) }],
                lacks_authors: false,
            },
            said: Said::default(),
            told: Told::default(),
            log: LogFacts::Read {
                direction: Direction::Forward,
                holds: Vec::new(),
                reviews: Vec::new(),
                approvals: Vec::new(),
            },
        }
    }

    pub fn sensitive() -> World {
        let mut world = World::new();
        world.change.paths = Paths::Since(vec!["src/billing/tax.rs".to_owned()]);
        world
    }

    pub fn approved_by(login: &str) -> World {
        let mut world = World::sensitive();
        world.approvals().push(candidate(login));
        world
    }

    pub fn decide(&self) -> Decision {
        let (environment, version, commit) = (name("production"), line("1.4.2"), commit('a'));
        let service = name("api");
        gate_facts(self, &environment, &service, &version, &commit)
    }

    pub fn approvals(&mut self) -> &mut Vec<Candidate> {
        match &mut self.log {
            LogFacts::Read { approvals, .. } => approvals,
            LogFacts::Unreachable { .. } => unreachable!("the log is read in this test"),
        }
    }

    fn set(&mut self, to: Direction) {
        match &mut self.log {
            LogFacts::Read { direction, .. } | LogFacts::Unreachable { direction, .. } => *direction = to,
        }
    }

    fn hold(&mut self) {
        let hold = Mark {
            seq: 7,
            start: None,
            project: Some(1),
            path: None,
            service: Some(name("api")),
            environment: name("production"),
            version: line("1.4.1"),
            at: Time::new(now()),
            newer: Default::default(),
        };
        if let LogFacts::Read { holds, .. } = &mut self.log {
            holds.push(hold);
        }
    }

    fn owe(&mut self, due: &str) {
        let review = OpenReview {
            seq: 5,
            finish: None,
            project: Some(1),
            path: None,
            service: Some(name("api")),
            environment: name("production"),
            version: line("1.4.0"),
            due: due.parse().ok(),
            assignee: None,
            actor: None,
            newer: Default::default(),
        };
        if let LogFacts::Read { reviews, .. } = &mut self.log {
            reviews.push(review);
        }
    }

    fn freeze(&mut self) {
        self.rules.freezes.push(Freeze::new("Wed 10:00", "Wed 14:00", Vec::new()).expect("freeze"));
    }
}

fn gate_facts(world: &World, environment: &Name, service: &Name, version: &Line, commit: &CommitId) -> Decision {
    let place = place(1, service.as_str(), environment.as_str());
    let facts = Facts {
        now: now(),
        environment,
        service: Some(service),
        place: &place,
        version,
        commit: Some(commit),
        branches: &world.branches,
        actor: world.actor.as_ref(),
        change: &world.change,
        said: &world.said,
        log: &world.log,
        told: &world.told,
    };
    decide(&facts, &world.rules)
}

/// An hour old, and for what is deployed.
pub(super) fn candidate(login: &str) -> Candidate {
    let approval = Approval {
        source: ApprovalSource::Signed,
        approver: person(login),
        at: Some(Time::new(now() - TimeDelta::hours(1))),
        note: Text::clean("looked at it"),
        url: None,
        note_id: None,
        note_sha256: None,
        seq: Some(3),
        sha256: None,
        commit: Some(commit('a')),
        covers: Vec::new(),
        before_start: None,
        expires_at: Some(Time::new(now() + TimeDelta::days(1))),
        newer: Default::default(),
    };
    Candidate {
        approval,
        place: Some(place(1, "api", "production")),
        signer: Some(name(login)),
        follow_up: None,
        is_open: true,
        used_by: None,
        is_withdrawn: false,
    }
}

fn codes(decision: &Decision, effect: Effect) -> Vec<Code> {
    decision.findings.iter().filter(|finding| finding.effect == effect).map(|finding| finding.code).collect()
}

/// What is changed about an approval, and the code that it then comes to.
type Flaw = (&'static str, Option<Code>, fn(&mut World, &mut Candidate));

const FLAWS: &[Flaw] = &[
    ("none", None, |_, _| {}),
    ("other commit", Some(Code::ApprovalOtherCommit), |_, approval| approval.approval.commit = Some(commit('b'))),
    ("no commit", Some(Code::ApprovalOtherCommit), |_, approval| approval.approval.commit = None),
    ("other environment", Some(Code::ApprovalOtherEnvironment), |_, approval| {
        approval.place = Some(place(1, "api", "staging"));
    }),
    ("other service", Some(Code::ApprovalOtherService), |_, approval| approval.place = Some(place(1, "web", "production"))),
    ("other project", Some(Code::ApprovalOtherProject), |_, approval| approval.place = Some(place(2, "api", "production"))),
    ("withdrawn", Some(Code::ApprovalWithdrawn), |_, approval| approval.is_withdrawn = true),
    ("used", Some(Code::ApprovalUsed), |_, approval| approval.used_by = Some(4)),
    ("expires now", Some(Code::ApprovalExpired), |_, approval| approval.approval.expires_at = Some(Time::new(now()))),
    ("expired", Some(Code::ApprovalExpired), |_, approval| {
        approval.approval.expires_at = Some(Time::new(now() - TimeDelta::seconds(1)));
    }),
    ("too old", Some(Code::ApprovalTooOld), |_, approval| {
        approval.approval.at = Some(Time::new(now() - TimeDelta::days(7) - TimeDelta::seconds(1)));
    }),
    ("of no time", Some(Code::ApprovalTooOld), |_, approval| approval.approval.at = None),
    ("another's key", Some(Code::ApprovalSigner), |_, approval| approval.signer = Some(name("ann"))),
    ("nobody's key", Some(Code::ApprovalSigner), |_, approval| approval.signer = None),
    ("not accepted", Some(Code::ApprovalNotAccepted), |_, approval| approval.approval.source = ApprovalSource::Claimed),
    ("a bot", Some(Code::ApprovalByBot), |_, approval| approval.approval.approver.bot = Some(true)),
    ("a program", Some(Code::ApprovalByBot), |_, approval| approval.approval.approver.automated = Some(true)),
    ("a pipeline", Some(Code::ApprovalByBot), |world, approval| {
        world.rules.approval.approvers.push(name("ci:main"));
        (approval.approval.approver, approval.signer) = (person("ci:main"), Some(name("ci:main")));
    }),
    ("no approver", Some(Code::ApprovalNotApprover), |world, _| world.rules.approval.approvers = vec![name("kim")]),
    ("the actor", Some(Code::ApprovalByActor), |world, _| world.actor = Some(person("Dana"))),
    ("the actor by number", Some(Code::ApprovalByActor), |world, approval| {
        world.actor = Some(Person { id: Some(8), ..person("old-name") });
        approval.approval.approver.id = Some(8);
    }),
    ("the author", Some(Code::ApprovalByAuthor), |world, _| world.change.authors.push(Author { login: Some(name("DANA")) })),
    ("an unknown actor", Some(Code::ApprovalNotProven), |world, _| world.actor = None),
    ("an actor with a name only", Some(Code::ApprovalNotProven), |world, _| {
        world.actor = Some(Person { name: Some(line("Dana")), ..Person::default() });
    }),
    ("authors beyond a short history", Some(Code::ApprovalNotProven), |world, _| world.change.lacks_authors = true),
    ("an automated run of unknown authors", Some(Code::ApprovalNotProven), |world, _| {
        world.actor = Some(Person { automated: Some(true), ..person("ann") });
        world.change.authors = vec![Author { login: None }];
    }),
    ("an automated run", None, |world, _| world.actor = Some(Person { automated: Some(true), ..Person::default() })),
    ("the same login, whatever number is claimed", Some(Code::ApprovalByActor), |world, approval| {
        world.actor = Some(Person { id: Some(9), ..person("dana") });
        approval.approval.approver.id = Some(8);
    }),
    ("a run of one's own that is automated", Some(Code::ApprovalByActor), |world, _| {
        world.actor = Some(Person { automated: Some(true), ..person("dana") });
    }),
    ("gone out of the log's list", Some(Code::ApprovalUsed), |_, approval| approval.is_open = false),
    ("never expires", None, |_, approval| approval.approval.expires_at = None),
    ("everybody may", None, |world, _| world.rules.approval.approvers.clear()),
];

#[test]
fn an_approval_counts_or_tells_why_not() {
    for (what, code, change) in FLAWS {
        let (mut world, mut approval) = (World::sensitive(), candidate("dana"));
        change(&mut world, &mut approval);
        world.approvals().push(approval);
        let decision = world.decide();
        match code {
            None => assert!(decision.is_allowed() && decision.approval.is_some(), "{what}: {:?}", decision.findings),
            Some(code) => {
                assert_eq!(codes(&decision, Effect::Refuses), [Code::ApprovalMissing, *code], "{what}");
                assert!(decision.approval.is_none(), "{what}");
            }
        }
    }
}

#[test]
fn the_whole_decision_agrees_with_a_second_opinion() {
    let mut seen = 0;
    for case in Case::all() {
        let decision = case.world().decide();
        assert_eq!(decision.is_allowed(), case.is_allowed(), "{case:?}: {:#?}", decision.findings);
        assert_eq!(decision.class.name, case.class, "{case:?}");
        let stood_in_the_way = case.glass && case.goes_forward() && (case.holds || (case.needs() && !case.counts()));
        let owes = case.goes_forward()
            && (case.class == ClassName::Emergency && (case.asks != ApprovalFor::Never || case.freezes || case.holds));
        assert!(!owes || decision.follow_up.is_some() || !decision.is_allowed(), "{case:?}");
        assert_eq!(decision.break_glass.is_some(), stood_in_the_way, "{case:?}: {:#?}", decision.findings);
        seen += 1;
    }
    assert_eq!(seen, 3 * 3 * 3 * 4 * 3 * 3 * 2 * 2 * 4 * 2);
}

/// One cell of the table.
#[derive(Debug, Clone, Copy)]
struct Case {
    class: ClassName,
    approver: Option<&'static str>,
    four_eyes: FourEyes,
    /// Age of the approval in hours.
    age: i64,
    is_bound: bool,
    is_accepted: bool,
    asks: ApprovalFor,
    holds: bool,
    freezes: bool,
    direction: Direction,
    glass: bool,
}

impl Case {
    fn all() -> impl Iterator<Item = Case> {
        let approvers = [None, Some("dana"), Some("ann")];
        let bindings = [(true, true), (true, false), (false, true)];
        let directions = [Direction::First, Direction::Forward, Direction::Again, Direction::Back];
        let mut cases = Vec::new();
        for class in ClassName::ALL {
            for approver in approvers {
                for four_eyes in FourEyes::ALL {
                    for age in [1, 23, 25, 24 * 8] {
                        for (is_bound, is_accepted) in bindings {
                            for asks in ApprovalFor::ALL {
                                for direction in directions {
                                    for bits in 0..8 {
                                        cases.push(Case {
                                            class: *class,
                                            approver,
                                            four_eyes: *four_eyes,
                                            age,
                                            is_bound,
                                            is_accepted,
                                            asks: *asks,
                                            direction,
                                            holds: bits & 1 > 0,
                                            freezes: bits & 2 > 0,
                                            // breaking the glass makes an emergency of it
                                            glass: bits & 4 > 0 && *class == ClassName::Emergency,
                                        });
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        cases.into_iter()
    }

    fn world(&self) -> World {
        let mut world = if self.class == ClassName::Routine { World::new() } else { World::sensitive() };
        if self.class == ClassName::Emergency {
            world.said.emergency.push(Saying { place: "--emergency".to_owned(), reason: Text::clean("payments fail") });
        }
        world.rules.approval.four_eyes = self.four_eyes;
        if !self.is_accepted {
            world.rules.approval.accept = vec![ApprovalSource::MergeRequestNote];
        }
        world.rules.environments.insert(name("production"), self.asks);
        if self.holds {
            world.hold();
        }
        if self.freezes {
            world.freeze();
        }
        world.set(self.direction);
        if self.glass {
            world.said.break_glass = Text::clean("nobody is awake");
        }
        if let Some(login) = self.approver {
            let mut approval = candidate(login);
            approval.approval.at = Some(Time::new(now() - TimeDelta::hours(self.age)));
            if !self.is_bound {
                approval.approval.commit = Some(commit('b'));
            }
            world.approvals().push(approval);
        }
        world
    }

    fn goes_forward(&self) -> bool {
        matches!(self.direction, Direction::First | Direction::Forward)
    }

    fn needs(&self) -> bool {
        match self.asks {
            ApprovalFor::Never => false,
            ApprovalFor::Sensitive => self.class != ClassName::Routine,
            ApprovalFor::Always => true,
        }
    }

    fn counts(&self) -> bool {
        let longest = if self.class == ClassName::Emergency { 24 } else { 24 * 7 };
        let is_others = self.approver == Some("dana") || self.four_eyes != FourEyes::Before;
        self.approver.is_some() && is_others && self.is_bound && self.is_accepted && self.age <= longest
    }

    fn is_allowed(&self) -> bool {
        if !self.goes_forward() || self.glass {
            return true;
        }
        let is_frozen = self.freezes && self.class != ClassName::Emergency;
        !self.holds && !is_frozen && (!self.needs() || self.counts())
    }
}

#[test]
fn an_emergency_is_said_in_four_ways_and_all_are_equal() {
    let say = |place: &str| {
        let mut world = World::new();
        world.said.emergency.push(Saying { place: place.to_owned(), reason: Text::clean("payments fail") });
        world
    };
    let mut by_branch = World::new();
    by_branch.branches.push("Hotfix/pay".to_owned());
    by_branch.rules.emergency.branches.push("hotfix/*".parse().expect("pattern"));
    let mut by_glass = World::new();
    by_glass.said.break_glass = Text::clean("payments fail");
    for world in [say("--emergency"), say("trailer Deploy-Emergency"), by_branch] {
        let decision = world.decide();
        assert_eq!((decision.class.name, decision.class.because.len()), (ClassName::Emergency, 1));
        assert_eq!(codes(&decision, Effect::Refuses), [Code::ApprovalMissing]);
        // without a policy, too
        let without = World { rules: Rules { are_written: false, sensitive: Vec::new(), ..world.rules }, ..world };
        assert_eq!(codes(&without.decide(), Effect::Refuses), [Code::ApprovalMissing]);
    }
    let decision = by_glass.decide();
    assert_eq!((decision.class.name, decision.is_allowed()), (ClassName::Emergency, true));
    assert_eq!(decision.break_glass.map(|glass| glass.reason), Text::clean("payments fail"));
}

#[test]
fn an_emergency_owes_a_review_the_next_business_day() {
    let mut world = World::approved_by("dana");
    world.said.emergency.push(Saying { place: "--emergency".to_owned(), reason: None });
    world.rules.follow_up.assignee = Some(name("chen"));
    world.rules.calendar = Calendar { zone: "Europe/Berlin".parse().expect("zone"), ..Calendar::default() };
    let follow_up = world.decide().follow_up.expect("a review");
    assert_eq!((follow_up.due, follow_up.assignee), ("2026-11-19T22:59:59Z".parse().ok(), Some(name("chen"))));
    world.rules.environments.insert(name("production"), ApprovalFor::Never);
    assert_eq!(world.decide().follow_up, None);
    // an approval of one's own, where that counts, is looked at afterwards
    let mut world = World::approved_by("ann");
    world.rules.approval.four_eyes = FourEyes::After;
    assert!(world.decide().is_allowed() && world.decide().follow_up.is_some());
    world.rules.approval.four_eyes = FourEyes::Off;
    assert!(world.decide().is_allowed() && world.decide().follow_up.is_none());
    let mut world = World::approved_by("dana");
    world.rules.approval.four_eyes = FourEyes::After;
    assert!(world.decide().follow_up.is_none());
}

#[test]
fn somebodys_word_counts_only_where_the_policy_accepts_it() {
    let mut world = World::sensitive();
    world.said.approved_by = Some(name("dana"));
    assert_eq!(codes(&world.decide(), Effect::Refuses), [Code::ApprovalMissing, Code::ApprovalNotAccepted]);
    world.rules.approval.accept.push(ApprovalSource::Claimed);
    assert_eq!(world.decide().approval.map(|approval| approval.source), Some(ApprovalSource::Claimed));
    world.said.approved_by = Some(name("ann"));
    assert_eq!(codes(&world.decide(), Effect::Refuses), [Code::ApprovalMissing, Code::ApprovalByActor]);
}

#[test]
fn a_freeze_lets_emergencies_pass_on_record() {
    let mut world = World::new();
    world.freeze();
    assert_eq!(codes(&world.decide(), Effect::Refuses), [Code::Freeze]);
    world.said.emergency.push(Saying { place: "--emergency".to_owned(), reason: Text::clean("payments fail") });
    world.approvals().push(candidate("dana"));
    let decision = world.decide();
    assert!(decision.is_allowed());
    assert_eq!(codes(&decision, Effect::Overridden), [Code::Freeze]);
    assert_eq!(decision.overrides[0].reason.as_str(), "payments fail");
    assert_eq!(decision.overrides[0].rule.as_str(), "freeze");
    assert!(decision.findings.iter().any(|finding| finding.message.contains("Wed 10:00 to Wed 14:00")));
    assert!(decision.break_glass.is_none());
}

#[test]
fn an_overdue_review_warns_or_refuses() {
    let mut world = World::new();
    world.owe("2026-11-18T11:59:59Z");
    assert_eq!(codes(&world.decide(), Effect::Says), [Code::ReviewOverdue]);
    world.rules.follow_up.overdue = Overdue::Refuse;
    assert_eq!(codes(&world.decide(), Effect::Refuses), [Code::ReviewOverdue]);
    let mut rollback = world.clone();
    rollback.set(Direction::Back);
    assert!(rollback.decide().is_allowed());
    world.said.emergency.push(Saying { place: "--emergency".to_owned(), reason: None });
    world.approvals().push(candidate("dana"));
    assert!(world.decide().is_allowed());
    let mut in_time = World::new();
    in_time.rules.follow_up.overdue = Overdue::Refuse;
    in_time.owe("2026-11-18T12:00:00Z");
    assert!(in_time.decide().is_allowed());
}

#[test]
fn without_the_log_the_policy_decides_by_class_and_a_rollback_goes_on() {
    let unreachable = |world: World, direction| World {
        log: LogFacts::Unreachable { because: "connection refused".to_owned(), direction },
        ..world
    };
    let mut unknown = unreachable(World::new(), Direction::Unknown);
    assert!(unknown.decide().is_allowed());
    unknown.change.paths = Paths::Unknown("only the log knows".to_owned());
    let decision = unknown.decide();
    assert_eq!((decision.class.name, codes(&decision, Effect::Refuses)), (ClassName::Sensitive, vec![Code::LogUnreachable]));
    assert!(decision.is_unreachable());
    unknown.freeze();
    assert!(!unknown.decide().is_unreachable());
    for direction in [Direction::Back, Direction::MaybeBack, Direction::Again] {
        let mut world = unreachable(World::sensitive(), direction);
        world.freeze();
        world.rules.unreachable = WhenUnreachable { routine: Unreachable::Stop, ..WhenUnreachable::default() };
        assert!(world.decide().is_allowed(), "{direction:?}");
    }
    // whether it was one at all, is for somebody to look at
    assert!(unreachable(World::sensitive(), Direction::MaybeBack).decide().follow_up.is_some());
    let mut emergency = unreachable(World::sensitive(), Direction::Unknown);
    emergency.said.emergency.push(Saying { place: "--emergency".to_owned(), reason: None });
    let decision = emergency.decide();
    assert!(decision.is_allowed() && decision.follow_up.is_some());
    assert!(codes(&decision, Effect::Says).contains(&Code::ApprovalNotChecked));
}

#[test]
fn paths_of_another_service_are_not_judged_and_those_of_none_are() {
    let mut world = World::new();
    let globs = |pattern: &str| {
        let mut globs = Globs::default();
        globs.add(pattern).expect(pattern);
        globs
    };
    world.rules.services.insert(name("api"), globs("api/**"));
    world.rules.services.insert(name("web"), globs("web/**"));
    world.rules.sensitive = vec![Sensitive { name: "auth".to_owned(), paths: globs("**/auth/**"), labels: Vec::new() }];
    for (path, class) in [
        ("web/auth/a.rs", ClassName::Routine),
        ("api/auth/a.rs", ClassName::Sensitive),
        ("lib/auth/a.rs", ClassName::Sensitive),
    ] {
        world.change.paths = Paths::Since(vec![path.to_owned()]);
        assert_eq!(world.decide().class.name, class, "{path}");
    }
}

#[test]
fn the_reasons_name_rule_and_paths() {
    let mut world = World::new();
    let path = |number: u32| format!("src/billing/{number}.rs");
    world.change.paths = Paths::Since((1..=5).map(path).collect());
    let reasons = |world: &World| world.decide().class.because.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(reasons(&world), ["billing: src/billing/1.rs, src/billing/2.rs, src/billing/3.rs and 2 more"]);
    world.change.paths = Paths::All(vec![path(1)]);
    assert_eq!(reasons(&world), ["billing: src/billing/1.rs (nothing runs there yet, so all files count)"]);
    world.change.paths = Paths::Unknown("history is too short".to_owned());
    assert_eq!(reasons(&world), ["what is new can't be told: history is too short"]);
    world.rules.sensitive.clear();
    assert!(reasons(&world).is_empty());
}

fn any_candidate() -> impl Strategy<Value = Candidate> {
    let logins = prop::sample::select(vec!["dana", "kim", "ann", "stranger"]);
    let flaws = prop::sample::select(FLAWS.iter().map(|flaw| flaw.2).collect::<Vec<_>>());
    (logins, flaws, 0..200i64).prop_map(|(login, flaw, age)| {
        let mut approval = candidate(login);
        approval.approval.at = Some(Time::new(now() - TimeDelta::hours(age)));
        flaw(&mut World::new(), &mut approval);
        approval
    })
}

fn any_paths() -> impl Strategy<Value = Vec<String>> {
    let path =
        prop::sample::select(vec!["README.md", "src/billing/tax.rs", "api/a.rs", "web/auth/b.rs", "src/billing/README.md"]);
    prop::collection::vec(path.prop_map(str::to_owned), 0..4)
}

fn any_world() -> impl Strategy<Value = World> {
    let bits = prop::collection::vec(any::<bool>(), 6);
    let four_eyes = prop::sample::select(FourEyes::ALL);
    let asks = prop::sample::select(ApprovalFor::ALL);
    let directions = [Direction::First, Direction::Forward, Direction::Again, Direction::Back];
    (
        bits,
        four_eyes,
        asks,
        prop::sample::select(directions.to_vec()),
        prop::collection::vec(any_candidate(), 0..3),
        any_paths(),
    )
        .prop_map(|(bits, four_eyes, asks, direction, approvals, paths)| {
            let mut world = World::new();
            world.change.paths = Paths::Since(paths);
            world.rules.approval.four_eyes = four_eyes;
            world.rules.environments.insert(name("production"), asks);
            *world.approvals() = approvals;
            world.set(direction);
            if bits[0] {
                world.hold();
            }
            if bits[1] {
                world.freeze();
            }
            if bits[2] {
                world.said.emergency.push(Saying { place: "--emergency".to_owned(), reason: None });
            }
            if bits[3] {
                world.said.break_glass = Text::clean("nobody is awake");
            }
            if bits[4] {
                world.owe("2026-11-18T11:59:59Z");
                world.rules.follow_up.overdue = Overdue::Refuse;
            }
            if bits[5] {
                let mut api = Globs::default();
                api.add("api/**").expect("pattern");
                world.rules.services.insert(name("api"), api);
            }
            world
        })
}

proptest! {
    #[test]
    fn one_more_approval_never_turns_a_deployment_away(world in any_world(), more in any_candidate()) {
        let mut with = world.clone();
        with.approvals().push(more);
        prop_assert!(!world.decide().is_allowed() || with.decide().is_allowed());
        // and so, taking one away never lets one through
        prop_assert!(with.decide().is_allowed() || !world.decide().is_allowed());
    }

    #[test]
    fn more_changed_paths_are_never_less_strict(world in any_world(), more in any_paths()) {
        let mut with = world.clone();
        if let Paths::Since(paths) = &mut with.change.paths {
            paths.extend(more);
        }
        let (before, after) = (world.decide(), with.decide());
        prop_assert!(after.class.name >= before.class.name);
        prop_assert!(before.is_allowed() || !after.is_allowed());
        prop_assert!(!before.needs_approval || after.needs_approval);
    }

    #[test]
    fn what_is_not_known_is_never_less_strict(world in any_world()) {
        let mut unknown = world.clone();
        unknown.change.paths = Paths::Unknown("history is too short".to_owned());
        prop_assert!(world.decide().is_allowed() || !unknown.decide().is_allowed());
        let mut short = world.clone();
        short.change.lacks_authors = true;
        prop_assert!(world.decide().is_allowed() || !short.decide().is_allowed());
        let nobody = World { actor: None, ..world.clone() };
        prop_assert!(world.decide().is_allowed() || !nobody.decide().is_allowed());
    }

    #[test]
    fn nothing_stops_a_rollback(world in any_world()) {
        let mut back = world;
        back.set(Direction::Back);
        prop_assert!(back.decide().is_allowed());
    }
}
