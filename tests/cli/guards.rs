//! What a recovery excuses, and what it does not: only one that is a link of the chain itself.

use crate::support::history::{PastLog, person, text};
use deploy_record::core::record::{CommitId, Digest, Kind, Record, Status};

fn recovery(skipped: &CommitId) -> Record {
    let mut record = Record::draft(Kind::Recovery);
    (record.skipped, record.reason, record.by) = (vec![skipped.clone()], text("a script"), person("chen"));
    record
}

/// A log with a foreign commit before record 2, which only a recovery names; whoever signs that and what comes before it.
/// Where that recovery is no link of the chain, another one that is goes on over it.
fn log_with_a_recovery(principal: &str, is_link: bool) -> PastLog {
    let log = PastLog::new();
    log.append(20, log.done("production", "1", Status::Success, 20));
    let (first, state) = log.tip();
    let foreign = log.env.git(&["commit-tree", "main^{tree}", "-p", first.as_str(), "-m", "Oops"]);
    log.env.git(&["update-ref", "refs/heads/deploy-log", &foreign]);
    let foreign = CommitId::new(foreign.as_str()).expect("a commit");
    let state = log.forge_on(&foreign, state, principal, 15, log.done("staging", "1", Status::Success, 15), |_| {});
    let newest = || CommitId::new(log.env.git(&["rev-parse", "deploy-log"]).as_str()).expect("a commit");
    let change = |record: &mut Record| {
        if !is_link {
            record.prev = Digest::of(b"another");
        }
    };
    log.forge_on(&newest(), state.clone(), principal, 14, recovery(&foreign), change);
    if !is_link {
        log.forge_on(&newest(), state, principal, 13, recovery(&newest()), |_| {});
    }
    log
}

#[test]
fn a_recovery_that_is_no_link_of_the_chain_excuses_nothing_below_a_persons_tip() {
    for is_link in [true, false] {
        let log = log_with_a_recovery("chen", is_link);
        let record = log.run_as_pipeline(&["record", "-e", "production", "--version", "2", "--status", "success"]);
        if is_link {
            record.expect(0).says("record 4:");
        } else {
            record.expect(3).says("commit-foreign").says("SPOOLED");
        }
        log.run(&["verify"]).expect(if is_link { 0 } else { 1 });
    }
}

#[test]
fn a_recovery_that_is_no_link_of_the_chain_excuses_nothing_on_the_way_back() {
    for is_link in [true, false] {
        let log = log_with_a_recovery("ci:main", is_link);
        log.spool(12, log.done("production", "2", Status::Success, 12));
        let replay = log.run_as_pipeline(&["replay"]);
        if is_link {
            replay.expect(0).shows("record 4");
        } else {
            replay.expect(3).shows("LEFT");
        }
        // with the record that was replayed, or the second recovery
        assert_eq!(log.env.git(&["rev-list", "--count", "deploy-log"]), "5");
    }
}
