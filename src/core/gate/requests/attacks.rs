//! Words and merge requests that somebody arranges so that an approval seems to count, or one that counts seems to be gone.

use super::tests::{NOTE, PRESSED, comment, flaws, morning, name, person, refusing, request, system, world};
use super::*;
use crate::core::gate::{Code, Paths, Saying};
use crate::core::policy::{ApprovalFor, FourEyes};
use crate::core::record::{CommitId, Name, Text, Time};
use chrono::TimeDelta;

fn direct(digit: &str, path: &str, why: Why) -> Direct {
    Direct { sha: CommitId::new(digit.repeat(40)).expect("40 digits"), paths: vec![path.to_owned()], why }
}

/// A merge request that user 3 approved.
fn approved(iid: u64) -> Request {
    request(iid, &[comment(iid, 3, NOTE)])
}

/// One that nobody needs to approve.
fn harmless(iid: u64) -> Request {
    Request { paths: vec!["README.md".to_owned()], ..request(iid, &[]) }
}

/// `covering` stands in !2, and covers !1.
fn covered(change: impl Fn(&mut [Request; 2])) -> Vec<Code> {
    let mut requests = [request(1, &[]), request(2, &[comment(2, 3, &format!("{NOTE}\nCovers: !1"))])];
    change(&mut requests);
    refusing(&world(requests.to_vec()))
}

#[test]
fn what_is_covered_was_merged_before_and_says_when() {
    assert_eq!(covered(|_| {}), []);
    assert_eq!(covered(|requests| requests[0].merged_at = None), [Code::ApprovalMissing, Code::ApprovalTooEarly]);
    // an open one can still change, also where both are
    assert_eq!(covered(|requests| requests[0].is_merged = false), [Code::ApprovalMissing, Code::ApprovalTooEarly]);
    assert_eq!(
        covered(|requests| requests.iter_mut().for_each(|request| request.is_merged = false)),
        [Code::ApprovalMissing, Code::ApprovalTooEarly]
    );
}

#[test]
fn what_is_covered_is_taken_back_there_by_the_same_person_and_later() {
    let with = |id: u64, author: u64| {
        covered(|requests| {
            requests[0] = request(1, &[comment(id, author, "Deploy-Approval: withdrawn")]);
        })
    };
    assert_eq!(with(3, 3), [Code::ApprovalMissing, Code::ApprovalWithdrawn]);
    assert_eq!(with(3, 4), []);
    assert_eq!(with(1, 3), []);
}

#[test]
fn a_comment_from_the_future_does_not_count() {
    let mut world = world(vec![approved(1)]);
    let Requests::Known(brought) = &mut world.told.requests else { unreachable!() };
    let Approvals::Read(given) = &mut brought.requests[0].approvals else { unreachable!() };
    given[0].at = Time::new(morning() + TimeDelta::hours(2) + TimeDelta::seconds(59));
    assert_eq!(refusing(&world), []);
    let Requests::Known(brought) = &mut world.told.requests else { unreachable!() };
    let Approvals::Read(given) = &mut brought.requests[0].approvals else { unreachable!() };
    given[0].at = Time::new(morning() + TimeDelta::hours(2) + TimeDelta::seconds(61));
    assert_eq!(refusing(&world), [Code::ApprovalMissing, Code::ApprovalBackdated]);
}

#[test]
fn a_label_asks_for_an_approval_where_it_stands() {
    for is_emergency in [false, true] {
        let mut labelled = harmless(1);
        labelled.labels = vec!["security".to_owned()];
        let mut world = world(vec![labelled, approved(2)]);
        if is_emergency {
            world.rules.emergency.labels = vec!["security".to_owned()];
        } else {
            world.rules.sensitive[0].labels = vec!["security".to_owned()];
        }
        assert!(refusing(&world).contains(&Code::ApprovalNotCovering), "{is_emergency}");
    }
}

#[test]
fn one_approval_does_not_stand_for_what_came_in_beside_it() {
    let path = "src/billing/vat.rs";
    for why in [Why::NoRequest, Why::NotTold, Why::Unlike(7), Why::Beyond(7)] {
        let mut world = world(vec![approved(1)]);
        let Requests::Known(brought) = &mut world.told.requests else { unreachable!() };
        brought.direct.push(direct("b", path, why));
        assert_eq!(refusing(&world), [Code::ApprovalMissing, Code::DirectPush], "{why:?}");
        // what is harmless needs none, unless all do
        let Requests::Known(brought) = &mut world.told.requests else { unreachable!() };
        brought.direct[0].paths = vec!["README.md".to_owned()];
        assert_eq!(refusing(&world), [], "{why:?}");
        world.rules.environments.insert(name("production"), ApprovalFor::Always);
        assert_eq!(refusing(&world), [Code::ApprovalMissing, Code::DirectPush], "{why:?}");
    }
}

#[test]
fn an_emergency_is_approved_where_the_deployed_commit_came_in() {
    let mut world = world(vec![approved(1)]);
    world.said.emergency.push(Saying { place: "--emergency".to_owned(), reason: Text::clean("fire") });
    assert_eq!(refusing(&world), []);
    // the deployed commit itself came in without a merge request
    let Requests::Known(brought) = &mut world.told.requests else { unreachable!() };
    brought.direct.push(direct("a", "README.md", Why::NoRequest));
    assert_eq!(refusing(&world), [Code::ApprovalMissing, Code::DirectPush]);
    // an earlier one did
    let Requests::Known(brought) = &mut world.told.requests else { unreachable!() };
    brought.direct[0] = direct("b", "README.md", Why::NoRequest);
    assert_eq!(refusing(&world), []);
}

#[test]
fn what_nobody_brought_is_approved_by_the_newest() {
    let unaccounted = |path: &str, requests: Vec<Request>| {
        let mut world = world(requests);
        world.change.paths = Paths::Since(vec!["src/billing/tax.rs".to_owned(), path.to_owned()]);
        refusing(&world)
    };
    assert!(unaccounted("src/billing/gone.rs", vec![approved(1), harmless(2)]).contains(&Code::ApprovalMissing));
    assert_eq!(unaccounted("src/billing/gone.rs", vec![harmless(1), approved(2)]), []);
    assert_eq!(unaccounted("README.md", vec![approved(1), harmless(2)]), []);
}

#[test]
fn one_approval_by_a_maker_makes_the_whole_one_to_look_at() {
    let mut world = world(vec![approved(1), request(2, &[comment(2, 4, NOTE)])]);
    world.rules.approval.four_eyes = FourEyes::After;
    assert!(world.decide().follow_up.is_none());
    world.actor = Some(person(4));
    assert!(world.decide().is_allowed() && world.decide().follow_up.is_some());
}

#[test]
fn what_gitlab_writes_is_no_comment_of_a_person_and_the_other_way_round() {
    // GitLab repeats a title, or a branch's name
    assert_eq!(flaws(&[system(1, 3, NOTE)]), []);
    assert_eq!(flaws(&[system(1, 3, PRESSED), comment(2, 1, "added 2 commits")]), [None]);
    assert_eq!(flaws(&[system(1, 3, PRESSED), comment(2, 3, "unapproved this merge request")]), [None]);
    let outdated = [Some(Code::ApprovalOutdated)];
    assert_eq!(flaws(&[system(1, 3, PRESSED), system(2, 1, "added 2 commits"), system(3, 1, "reset approvals")]), outdated);
}

#[test]
fn a_button_of_a_blocked_or_imported_hand_does_not_count() {
    let blocked = Comment { is_active: false, ..system(1, 3, PRESSED) };
    let imported = Comment { is_imported: true, ..system(1, 3, PRESSED) };
    assert_eq!(flaws(&[blocked]), [Some(Code::ApprovalBlockedUser)]);
    assert_eq!(flaws(&[imported]), [Some(Code::ApprovalImported)]);
}

#[test]
fn a_word_for_a_service_is_none_for_a_deployment_without_one() {
    let said = comment(1, 3, &format!("{NOTE}\nService: api"));
    let on = |service: Option<&Name>| {
        let environment = name("production");
        given(std::slice::from_ref(&said), None, Place { environment: &environment, service })[0].flaw.is_none()
    };
    assert!(on(Some(&name("api"))) && !on(Some(&name("web"))) && !on(None));
}
