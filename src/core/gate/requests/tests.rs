//! Which approvals stand on a merge request, and what comes of them in the decision.

use super::*;
use crate::core::gate::tests::World;
use crate::core::gate::{Account, Code, Effect};
use crate::core::policy::{Access, ApprovalFor};
use crate::core::record::{ApprovalSource, ClassName, Name, Text};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

pub(super) const NOTE: &str = "Deploy-Approval: production\nReason: looked at it";
pub(super) const PRESSED: &str = "approved this merge request";

pub(super) fn name(text: &str) -> Name {
    Name::new(text).expect(text)
}

pub(super) fn person(id: u64) -> Person {
    Person { id: Some(id), login: Some(name(&format!("user-{id}"))), ..Person::default() }
}

/// A Wednesday, 10:00; the decision is made two hours later.
pub(super) fn morning() -> DateTime<Utc> {
    "2026-11-18T10:00:00Z".parse().expect("time")
}

pub(super) fn comment(id: u64, author: u64, body: &str) -> Comment {
    let at = morning() + TimeDelta::seconds(i64::try_from(id).expect("a small number"));
    Comment {
        id,
        author: Some(person(author)),
        is_active: true,
        body: body.to_owned(),
        at,
        changed_at: at,
        is_system: false,
        is_internal: false,
        is_imported: false,
    }
}

pub(super) fn system(id: u64, author: u64, body: &str) -> Comment {
    Comment { is_system: true, ..comment(id, author, body) }
}

fn on(comments: &[Comment]) -> Vec<Given> {
    given(comments, None, Place { environment: &name("production"), service: None })
}

pub(super) fn flaws(comments: &[Comment]) -> Vec<Option<Code>> {
    on(comments).into_iter().map(|given| given.flaw.map(|(code, _)| code)).collect()
}

/// A merge request of user 1's that user 2 merged, with these comments, and something sensitive in it.
pub(super) fn request(iid: u64, comments: &[Comment]) -> Request {
    Request {
        iid,
        url: Link::new(format!("https://gitlab.example/grp/app/-/merge_requests/{iid}")).ok(),
        author: Some(person(1)),
        merged_by: Some(person(2)),
        merged_at: Some(Time::new(morning() - TimeDelta::hours(1) + TimeDelta::seconds(i64::try_from(iid).expect("small")))),
        is_merged: true,
        labels: Vec::new(),
        paths: vec!["src/billing/tax.rs".to_owned()],
        authors: Vec::new(),
        approvals: Approvals::Read(on(comments)),
    }
}

pub(super) fn world(requests: Vec<Request>) -> World {
    let mut world = World::sensitive();
    world.rules.approval.approvers = vec![name("user-3"), name("user-4")];
    world.actor = Some(person(1));
    world.change.authors = Vec::new();
    world.told.requests = Requests::Known(Brought { requests, direct: Vec::new() });
    world
}

pub(super) fn refusing(world: &World) -> Vec<Code> {
    let decision = world.decide();
    let findings = decision.findings.iter().filter(|finding| finding.effect == Effect::Refuses);
    findings.map(|finding| finding.code).collect()
}

#[test]
fn the_order_of_numbers_counts_and_not_that_of_times() {
    let push = |id| system(id, 1, "added 1 commit\n\n<ul><li>abc</li></ul>");
    assert_eq!(flaws(&[push(1), comment(2, 3, NOTE)]), [None]);
    assert_eq!(flaws(&[comment(1, 3, NOTE), push(2)]), [Some(Code::ApprovalOutdated)]);
    // a push that says that it was earlier
    let mut earlier = push(2);
    earlier.at -= TimeDelta::seconds(30);
    assert_eq!(flaws(&[comment(1, 3, NOTE), earlier]), [Some(Code::ApprovalOutdated)]);
    for words in [
        "added 12 new commits",
        "added 1,204 commits",
        "changed target branch from `a` to `b`",
        "deleted the `a` branch. This merge request now targets the `main` branch",
        "restored source branch `a`",
        "restored target branch `a`",
    ] {
        assert_eq!(flaws(&[comment(1, 3, NOTE), system(2, 1, words)]), [Some(Code::ApprovalOutdated)], "{words}");
    }
    for words in ["added ~7 label", "added to do", "mentioned in commit abc", "approved this merge request too"] {
        assert_eq!(flaws(&[comment(1, 3, NOTE), system(2, 1, words)]), [None], "{words}");
    }
    // what a person writes is no word of GitLab's
    assert_eq!(flaws(&[comment(1, 3, NOTE), comment(2, 1, "added 1 commit")]), [None]);
}

#[test]
fn an_hour_that_does_not_fit_its_neighbours_was_set() {
    let moved = |comment: Comment, minutes: i64| {
        let at = comment.at + TimeDelta::minutes(minutes);
        Comment { at, changed_at: at, ..comment }
    };
    for (at, minutes, expected) in [(1, -5, Some(Code::ApprovalBackdated)), (1, 5, Some(Code::ApprovalBackdated)), (1, 0, None)]
    {
        let mut comments = vec![comment(1, 1, "a"), comment(2, 3, NOTE), comment(3, 1, "b")];
        comments[at] = moved(comments[at].clone(), minutes);
        assert_eq!(flaws(&comments), [expected], "{minutes} minutes");
    }
    // a second is a machine's own affair
    let mut edited = comment(2, 3, NOTE);
    edited.changed_at += TimeDelta::milliseconds(900);
    assert_eq!(flaws(&[edited.clone()]), [None]);
    edited.changed_at += TimeDelta::milliseconds(200);
    assert_eq!(flaws(&[edited]), [Some(Code::ApprovalEdited)]);
}

#[test]
fn a_withdrawal_is_by_the_same_person_only() {
    let withdrawn = |author| comment(2, author, "Deploy-Approval: withdrawn");
    let of_first = |comments: &[Comment]| flaws(comments).remove(0);
    assert_eq!(of_first(&[comment(1, 3, NOTE), withdrawn(3)]), Some(Code::ApprovalWithdrawn));
    assert_eq!(of_first(&[comment(1, 3, NOTE), withdrawn(4)]), None);
    // one that comes before takes back nothing
    assert_eq!(flaws(&[comment(1, 3, "Deploy-Approval: withdrawn"), comment(2, 3, NOTE)])[1], None);
}

#[test]
fn the_last_word_by_the_button_counts() {
    let cases: [(&[Comment], &[Option<Code>]); 7] = [
        (
            &[system(1, 3, PRESSED), system(2, 4, PRESSED), system(3, 3, "requested changes")],
            &[Some(Code::ApprovalWithdrawn), None],
        ),
        (&[system(1, 3, PRESSED)], &[None]),
        (&[system(1, 3, PRESSED), system(2, 3, "unapproved this merge request")], &[Some(Code::ApprovalWithdrawn)]),
        (&[system(1, 3, PRESSED), system(2, 4, "unapproved this merge request")], &[None]),
        (&[system(1, 3, PRESSED), system(2, 3, "unapproved this merge request"), system(3, 3, PRESSED)], &[None]),
        (
            &[system(1, 3, PRESSED), system(2, 4, PRESSED), system(3, 1, "reset approvals from @user-3 by pushing")],
            &[Some(Code::ApprovalWithdrawn), Some(Code::ApprovalWithdrawn)],
        ),
        (&[comment(1, 3, PRESSED)], &[]),
    ];
    for (comments, expected) in cases {
        assert_eq!(flaws(comments), expected, "{comments:?}");
    }
    // where GitLab says who has approved now, that counts, too
    let place = name("production");
    let place = Place { environment: &place, service: None };
    let pressed = |ids: &[u64]| -> Vec<Person> { ids.iter().map(|id| person(*id)).collect() };
    assert!(given(&[system(1, 3, PRESSED)], Some(&pressed(&[3])), place)[0].flaw.is_none());
    assert!(given(&[system(1, 3, PRESSED)], Some(&pressed(&[4])), place)[0].flaw.is_some());
}

#[test]
fn each_needs_its_own_or_one_that_covers_it_from_the_newest() {
    let note = |id, covers: &str| comment(id, 3, &format!("{NOTE}\nCovers: {covers}"));
    assert_eq!(refusing(&world(vec![request(1, &[comment(1, 3, NOTE)]), request(2, &[comment(2, 3, NOTE)])])), []);
    assert_eq!(
        refusing(&world(vec![request(1, &[]), request(2, &[comment(2, 3, NOTE)])])),
        [Code::ApprovalMissing, Code::ApprovalNotCovering]
    );
    assert_eq!(refusing(&world(vec![request(1, &[]), request(2, &[note(2, "!1")])])), []);
    // one in an older one
    assert_eq!(
        refusing(&world(vec![request(1, &[note(1, "!2")]), request(2, &[])])),
        [Code::ApprovalMissing, Code::ApprovalTooEarly]
    );
    // one written before the other was merged
    let mut requests = vec![request(1, &[]), request(2, &[note(2, "!1")])];
    requests[0].merged_at = Some(Time::new(morning() + TimeDelta::minutes(1)));
    requests[1].merged_at = Some(Time::new(morning() + TimeDelta::minutes(2)));
    assert_eq!(refusing(&world(requests)), [Code::ApprovalMissing, Code::ApprovalTooEarly]);
    // the button covers nothing else
    let pressed = request(2, &[system(2, 3, PRESSED)]);
    assert_eq!(refusing(&world(vec![request(1, &[]), pressed])), [Code::ApprovalMissing]);
}

#[test]
fn only_what_brought_something_sensitive_needs_one() {
    let mut harmless = request(1, &[]);
    harmless.paths = vec!["README.md".to_owned()];
    let sensitive = request(2, &[comment(2, 3, NOTE)]);
    let mut world = world(vec![harmless, sensitive]);
    assert_eq!(refusing(&world), []);
    assert_eq!(world.decide().requests.iter().map(|needed| needed.iid).collect::<Vec<_>>(), [2]);
    world.rules.environments.insert(name("production"), ApprovalFor::Always);
    assert_eq!(refusing(&world), [Code::ApprovalMissing, Code::ApprovalNotCovering]);
}

#[test]
fn an_emergency_is_approved_with_a_reason() {
    let mut world = world(vec![request(1, &[comment(1, 3, "Deploy-Approval: production")])]);
    assert_eq!(refusing(&world), []);
    world.said.emergency.push(crate::core::gate::Saying { place: "--emergency".to_owned(), reason: None });
    assert_eq!(world.decide().class.name, ClassName::Emergency);
    assert_eq!(refusing(&world), [Code::ApprovalMissing, Code::ApprovalForm]);
    world.said.emergency[0].reason = Text::clean("payments fail");
    assert_eq!(refusing(&world), []);
}

#[test]
fn people_are_compared_by_number_and_login() {
    let approved = |by: u64| world(vec![request(1, &[comment(1, by, NOTE)])]);
    let mut world = approved(3);
    assert_eq!(refusing(&world), []);
    world.actor = Some(Person { login: Some(name("renamed")), ..person(3) });
    assert_eq!(refusing(&world), [Code::ApprovalMissing, Code::ApprovalByActor]);
    for (author, merger, code) in [(Some(3), Some(2), Code::ApprovalByAuthor), (Some(1), Some(3), Code::ApprovalByMerger)] {
        let mut world = approved(3);
        let Requests::Known(brought) = &mut world.told.requests else { unreachable!() };
        (brought.requests[0].author, brought.requests[0].merged_by) = (author.map(person), merger.map(person));
        assert_eq!(refusing(&world), [Code::ApprovalMissing, code]);
    }
    // whose author GitLab does not tell
    let mut world = approved(3);
    let Requests::Known(brought) = &mut world.told.requests else { unreachable!() };
    brought.requests[0].author = None;
    assert_eq!(refusing(&world), [Code::ApprovalMissing, Code::ApprovalNotProven]);
    // a signed one of the whole is held against those who made the merge requests, too
    let mut world = approved(5);
    world.approvals().push(crate::core::gate::tests::candidate("user-2"));
    world.rules.approval.approvers.push(name("user-2"));
    assert!(refusing(&world).contains(&Code::ApprovalByMerger));
}

#[test]
fn roles_groups_and_bots_are_what_gitlab_says() {
    let world = world(vec![request(1, &[comment(1, 3, NOTE)])]);
    let account = Account { is_bot: false, is_active: true, level: 30, groups: Vec::new() };
    let with = |account: Option<Account>, change: &dyn Fn(&mut crate::core::policy::ApprovalRules)| {
        let mut world = world.clone();
        world.told.accounts = account.map(|account| (name("user-3"), account)).into_iter().collect();
        change(&mut world.rules.approval);
        refusing(&world).get(1).copied()
    };
    let nothing = |_: &mut crate::core::policy::ApprovalRules| {};
    assert_eq!(with(Some(account.clone()), &nothing), None);
    assert_eq!(with(Some(Account { is_bot: true, ..account.clone() }), &nothing), Some(Code::ApprovalByBot));
    assert_eq!(with(Some(Account { is_active: false, ..account.clone() }), &nothing), Some(Code::ApprovalBlockedUser));
    for (access, expected) in [(Access::Developer, None), (Access::Maintainer, Some(Code::ApprovalAccess))] {
        assert_eq!(with(Some(account.clone()), &|rules| rules.minimum_access = Some(access)), expected);
    }
    assert_eq!(with(None, &|rules| rules.minimum_access = Some(Access::Reporter)), Some(Code::ApprovalAccess));
    let in_group = Account { groups: vec!["acme/leads".to_owned()], ..account.clone() };
    let by_group = |rules: &mut crate::core::policy::ApprovalRules| {
        (rules.approvers, rules.groups) = (Vec::new(), vec!["acme/leads".to_owned()]);
    };
    assert_eq!(with(Some(in_group), &by_group), None);
    assert_eq!(with(Some(account), &by_group), Some(Code::ApprovalNotApprover));
    assert_eq!(with(None, &by_group), Some(Code::ApprovalAccess));
}

#[test]
fn what_gitlab_does_not_tell_refuses_and_what_it_can_not_tell_now_is_by_class() {
    let unknown = |is_unreachable| Unknown { because: "HTTP 404".to_owned(), advice: Some("do".to_owned()), is_unreachable };
    let mut world = world(Vec::new());
    world.told.requests = Requests::Unknown(unknown(false));
    assert_eq!(refusing(&world), [Code::ApprovalMissing, Code::RequestsUnknown]);
    world.told.requests = Requests::Unknown(unknown(true));
    assert_eq!(refusing(&world), [Code::GitlabUnreachable]);
    assert!(world.decide().is_unreachable());
    let mut request = request(1, &[]);
    request.approvals = Approvals::Unknown(unknown(true));
    world.told.requests = Requests::Known(Brought { requests: vec![request.clone()], direct: Vec::new() });
    assert_eq!(refusing(&world), [Code::GitlabUnreachable]);
    world.said.emergency.push(crate::core::gate::Saying { place: "--emergency".to_owned(), reason: Text::clean("fire") });
    let decision = world.decide();
    assert!(decision.is_allowed() && decision.approval.is_none() && decision.follow_up.is_some());
    request.approvals = Approvals::Unknown(unknown(false));
    world.told.requests = Requests::Known(Brought { requests: vec![request], direct: Vec::new() });
    assert_eq!(refusing(&world), [Code::ApprovalMissing, Code::ApprovalNotTold]);
    // a signed approval needs no GitLab
    let mut world = World::approved_by("dana");
    world.told.requests = Requests::Unknown(unknown(true));
    assert!(world.decide().is_allowed());
}

#[test]
fn a_rejection_in_gitlab_is_heard_over_an_approval() {
    let mut world = world(vec![request(1, &[comment(1, 3, NOTE)])]);
    world.told.rejected_by.push(person(4));
    assert_eq!(refusing(&world), [Code::DeploymentRejected, Code::ApprovalMissing]);
    world.said.break_glass = Text::clean("the site is down");
    assert!(world.decide().is_allowed());
}

proptest! {
    /// Whatever else is written on it, without an approver's own words or button nothing lets it through.
    #[test]
    fn others_words_never_approve(bodies in prop::collection::vec((0_u64..3, "(Deploy-Approval: production|approved this merge request|LGTM)", any::<bool>()), 0..8)) {
        let comments: Vec<_> = bodies.iter().zip(1..).map(|((author, body, is_system), id)| {
            Comment { is_system: *is_system, ..comment(id, *author, body) }
        }).collect();
        prop_assert!(!world(vec![request(1, &comments)]).decide().is_allowed());
    }

    /// A push as the last thing voids whatever was there before.
    #[test]
    fn a_push_at_the_end_voids_all(buttons in prop::collection::vec(any::<bool>(), 1..6)) {
        let mut comments: Vec<_> = buttons.iter().zip(1..).map(|(is_button, id)| {
            if *is_button { system(id, 3, PRESSED) } else { comment(id, 4, NOTE) }
        }).collect();
        prop_assert!(world(vec![request(1, &comments)]).decide().is_allowed());
        comments.push(system(50, 1, "added 2 commits"));
        prop_assert!(!world(vec![request(1, &comments)]).decide().is_allowed());
    }
}

/// The kind of an approval is on record.
#[test]
fn the_record_says_which_kind_it_is() {
    for (comments, source) in [
        ([comment(1, 3, NOTE)], ApprovalSource::MergeRequestNote),
        ([system(1, 3, PRESSED)], ApprovalSource::MergeRequestApproval),
    ] {
        let approval = world(vec![request(7, &comments)]).decide().approval.expect("an approval");
        assert_eq!((approval.source, approval.note_id, approval.covers), (source, Some(1), vec![7]));
        assert_eq!(
            approval.url.map(|url| url.to_string()),
            Some("https://gitlab.example/grp/app/-/merge_requests/7#note_1".to_owned())
        );
        assert_eq!(approval.note_sha256, approval.note.map(|note| crate::core::record::Digest::of(note.as_str().as_bytes())));
    }
}
