//! An approval counts for what it says, as long as it says, and by whom it says: each other one is refused by a code of its own.

use super::rig::{POLICY, Team, codes};
use crate::support::git_server::GitServer;
use crate::support::history::{PastLog, environment, name, person, text};
use deploy_record::core::record::{Commit, CommitId, Kind, Project, Provenance, Record, Status, Strength};
use serde_json::Value;

const DAY: i64 = 24 * 60;

/// What `kim` deploys by the pipeline's key from a laptop: a change of billing, after a version that has run for ten days.
struct Past {
    log: PastLog,
    old: String,
    new: String,
}

impl Past {
    fn new() -> Past {
        let log = PastLog::new();
        let env = &log.env;
        let policy = POLICY.replace("people: {", "people: { kim: { git: [\"kim@acme.example\"] },");
        std::fs::write(env.path().join(".deploy-record.yml"), policy).expect("written");
        for (name, value) in [("remote.origin.url", "https://gitlab.example/grp/app.git"), ("user.email", "kim@acme.example")] {
            env.git(&["config", name, value]);
        }
        let old = env.git(&["rev-parse", "HEAD"]);
        std::fs::create_dir(env.path().join("billing")).expect("a folder");
        std::fs::write(env.path().join("billing/tax.rs"), "2").expect("written");
        env.git(&["add", "billing"]);
        env.commit("Round half up");
        let new = env.git(&["rev-parse", "HEAD"]);
        let past = Past { log, old, new };
        past.deployed("1", &past.old, 10 * DAY);
        past
    }

    /// A deployment of that commit that succeeded so many minutes ago.
    fn deployed(&self, version: &str, sha: &str, ago: i64) {
        self.log.append(ago, of_commit(self.log.done("production", version, Status::Success, ago), sha));
    }

    /// An approval of the change by that person, until tomorrow.
    fn approval(&self, by: &str) -> Record {
        let mut record = Record::draft(Kind::Approval);
        record.project = Some(Project { id: Some(42), ..Project::default() });
        (record.environment, record.approver) = (environment("production"), person(by));
        (record.reason, record.expires_at) = (text("looked at it"), Some(self.log.ago(-DAY)));
        let start = of_commit(self.log.start("production", "2", 0), &self.new);
        Record { commit: start.commit, ..record }
    }

    fn signed(&self, by: &str, ago: i64, record: Record) {
        self.log.append_as(by, ago, record);
    }

    /// Deploys the change, with these arguments and this key.
    fn run(&self, arguments: &[&str], key: &str, command: &[&str]) -> crate::support::env::Output {
        let (path, principal) = (self.log.key_of(key), if key == "ci:main" { "ci:main" } else { key });
        let line = ["-e", "production", "--version", "2", "--key", &path, "--principal", principal];
        self.log.run(&[arguments, &line[..], command].concat())
    }

    /// That it is refused, with this code, in all three places; the log is then as it was before.
    #[track_caller]
    fn is_refused(&self, code: &str, key: &str, flags: &[&str]) {
        let env = &self.log.env;
        let check = self.run(&[&["check", "--format", "json"], flags].concat(), key, &[]);
        let told: Value = serde_json::from_str(&check.stdout).unwrap_or_else(|_| panic!("{code}: {}", check.stderr));
        let effect = |code: &str| {
            let all = told["findings"].as_array().into_iter().flatten();
            all.filter(|finding| finding["code"] == code).map(|finding| finding["effect"].as_str().expect("a word")).next()
        };
        assert_eq!((check.code, effect(code)), (1, Some("refuses")), "{code}: {told:#}");
        assert_eq!(effect("approval-missing"), Some("refuses"), "{told:#}");
        let run = self.run(&[&["run"], flags].concat(), key, &["--", "touch", "ran"]);
        run.expect(1).says(&format!("({code})")).says("(approval-missing)");
        assert!(!env.path().join("ran").exists(), "{code}");
        let refusal = env.records(&env.path()).pop().expect("a record");
        assert_eq!(refusal["kind"], "refusal", "{code}");
        assert_eq!(codes(&refusal)[..2], ["approval-missing", code]);
    }
}

fn of_commit(record: Record, sha: &str) -> Record {
    let commit = record.commit.map(|commit| Commit { sha: CommitId::new(sha).expect("a commit"), ..commit });
    Record { commit, ..record }
}

#[test]
fn each_approval_that_does_not_count_is_refused_by_its_own_code() {
    type Make = fn(&Past, Record) -> Record;
    // code, signed by, how many minutes ago, what is different about it, flags of the deployment
    let cases: &[(&str, &str, i64, Make, &[&str])] = &[
        ("approval-other-commit", "dana", 9, |past, record| of_commit(record, &past.old), &[]),
        ("approval-other-environment", "dana", 9, |_, record| Record { environment: environment("staging"), ..record }, &[]),
        ("approval-other-service", "dana", 9, |_, record| Record { service: Some(name("web")), ..record }, &[]),
        (
            "approval-other-project",
            "dana",
            9,
            |_, record| Record { project: Some(Project { id: Some(43), ..Project::default() }), ..record },
            &[],
        ),
        ("approval-expired", "dana", 90, |past, record| Record { expires_at: Some(past.log.ago(30)), ..record }, &[]),
        ("approval-too-old", "dana", 8 * DAY, |_, record| record, &[]),
        ("approval-too-old", "dana", DAY + 9, |_, record| record, &["--emergency", "it burns"]),
        // the pipeline's key vouches for a person whom it says GitLab named
        ("approval-signer", "ci:main", 9, |_, record| vouched(Record { approver: person("dana"), ..record }), &[]),
        ("approval-by-bot", "ci:main", 9, |_, record| vouched(record), &[]),
    ];
    let past = Past::new();
    let base = past.log.env.git(&["rev-parse", "deploy-log"]);
    for (code, signer, ago, make, flags) in cases {
        past.log.env.git(&["update-ref", "refs/heads/deploy-log", &base]);
        past.signed(signer, *ago, make(&past, past.approval(signer)));
        past.is_refused(code, "ci:main", flags);
    }
    // and the one that counts, where nothing is different about it
    past.log.env.git(&["update-ref", "refs/heads/deploy-log", &base]);
    past.signed("dana", DAY - 9, past.approval("dana"));
    past.run(&["check", "--emergency"], "ci:main", &[]).expect(0);
    past.run(&["run"], "ci:main", &["--", "touch", "ran"]).expect(0).says("approved: by dana");
}

fn vouched(record: Record) -> Record {
    Record { provenance: Some(Provenance { approval: Some(Strength::Attested), ..Provenance::default() }), ..record }
}

#[test]
fn one_in_the_name_of_another_is_damage() {
    let past = Past::new();
    let base = past.log.env.git(&["rev-parse", "deploy-log"]);
    for (signer, named) in [("chen", "dana"), ("ci:main", "dana"), ("ci:main", "ci:main")] {
        past.log.env.git(&["update-ref", "refs/heads/deploy-log", &base]);
        past.signed(signer, 9, past.approval(named));
        past.run(&["check"], "ci:main", &[]).expect(3).says("signer-role");
        past.run(&["run"], "ci:main", &["--", "touch", "ran"]).expect(3).says("signer-role");
        assert!(!past.log.env.path().join("ran").exists());
    }
}

#[test]
fn one_that_is_used_up_or_taken_back_does_not_count_again() {
    let past = Past::new();
    past.signed("dana", 60, past.approval("dana"));
    // failed attempts may use it again
    past.log.append(58, of_commit(past.log.done("production", "2", Status::Failed, 58), &past.new));
    past.run(&["check"], "ci:main", &[]).expect(0).shows("by dana");
    past.signed("dana", 50, Record { withdrawn: Some(true), expires_at: None, ..past.approval("dana") });
    past.is_refused("approval-withdrawn", "ci:main", &[]);
    past.signed("chen", 0, Record { withdrawn: Some(true), expires_at: None, ..past.approval("chen") });
    past.signed("dana", 0, past.approval("dana"));
    past.run(&["check"], "ci:main", &[]).expect(0).shows("by dana");
    past.deployed("2", &past.new, 0);
    past.log.append(0, of_commit(past.log.rollback("production", "1", Some("it burns"), 0), &past.old));
    past.is_refused("approval-used", "ci:main", &[]);
}

#[test]
fn neither_who_runs_it_nor_who_wrote_it_approves() {
    let past = Past::new();
    let env = &past.log.env;
    let file = env.path().join(".deploy-record.yml");
    let policy = std::fs::read_to_string(&file).expect("a policy");
    past.signed("dana", 9, past.approval("dana"));
    past.is_refused("approval-by-actor", "dana", &[]);
    // by the address that git has, whatever key signs
    env.git(&["config", "user.email", "D.Ana@acme.example"]);
    std::fs::write(
        &file,
        policy.replace("kim@acme", "other@acme").replace("people: {", "people: { dana: { git: [d.ana@acme.example] },"),
    )
    .expect("written");
    past.is_refused("approval-by-actor", "ci:main", &[]);
    env.git(&["config", "user.email", "kim@acme.example"]);
    std::fs::write(&file, policy.replace("ann: {", "dana: {")).expect("written");
    past.is_refused("approval-by-author", "ci:main", &[]);
    let approve = ["approve", "-e", "production", "--reason", "x", "--key", &past.log.key_of("dana")];
    past.log.run(&approve).expect(1).says("(approval-by-author)");
    std::fs::write(&file, policy.replace("[dana, chen]", "[chen]")).expect("written");
    past.is_refused("approval-not-approver", "ci:main", &[]);
    past.log.run(&approve).expect(1).says("(approval-not-approver)");
    std::fs::write(&file, policy.replace("[dana, chen]", "[dana, chen], accept: [claimed]")).expect("written");
    past.is_refused("approval-not-accepted", "ci:main", &[]);
    // nobody knows who runs it
    std::fs::write(&file, &policy).expect("written");
    env.git(&["config", "--unset", "user.email"]);
    past.is_refused("approval-not-proven", "ci:main", &[]);
    past.run(&["check"], "chen", &[]).expect(0).shows("by dana");
}

#[test]
fn one_of_another_log_is_damage_and_not_an_approval() {
    let (past, other) = (Past::new(), Past::new());
    other.signed("dana", 9, other.approval("dana"));
    let env = &past.log.env;
    env.git(&["fetch", "--quiet", &other.log.env.path().display().to_string(), "deploy-log"]);
    let message = env.git(&["log", "-1", "--format=%B", "FETCH_HEAD"]);
    let copy = env.git_with(&["commit-tree", "FETCH_HEAD^{tree}", "-p", "deploy-log"], message.as_bytes());
    env.git(&["update-ref", "refs/heads/deploy-log", &copy]);
    past.run(&["check"], "ci:main", &[]).expect(3).says("commit-signature");
    past.run(&["run"], "ci:main", &["--", "touch", "ran"]).expect(3).says("can't be gone on with");
    assert!(!env.path().join("ran").exists());
    assert_eq!(env.git(&["rev-parse", "deploy-log"]), copy);
    // nor does the whole of the other log count where this one is pinned
    let id = env.records_of(&env.path(), "deploy-log~1")[0]["log"].as_str().expect("an id").to_owned();
    env.git(&["update-ref", "refs/heads/deploy-log", "FETCH_HEAD"]);
    let policy = format!("{POLICY}log: {{ id: \"{id}\" }}\n");
    std::fs::write(env.path().join(".deploy-record.yml"), policy).expect("written");
    past.run(&["run"], "ci:main", &["--", "touch", "ran"]).expect(3).says("log-id");
    assert!(!env.path().join("ran").exists());
}

#[test]
fn who_can_not_approve_is_told_so_and_nothing_is_signed() {
    let mut team = Team::laptop(POLICY);
    team.deploy("1", &[]).expect(0);
    team.commit(&[("billing/tax.rs", "1")], "Round half up");
    for (person, more, exit, words) in [
        ("ann", &[][..], 1, "(approval-not-approver)"),
        ("eve", &[], 1, "(approval-not-approver)"),
        ("ci", &[], 2, "the pipeline's key `ci:main`"),
        ("dana", &["--valid-for", "8 days"], 2, "at most 168 hours"),
        ("dana", &["--valid-for", "1 business day"], 2, "in hours or days"),
    ] {
        team.approve_as(person, more).expect(exit).says(words);
    }
    let sha = team.env.git(&["rev-parse", "HEAD"]);
    let approve = ["approve", "-e", "production", "--commit", &sha];
    team.as_person("dana", &approve).expect(2).says("--reason is missing");
    assert_eq!(team.records().len(), 2);
    team.approve_as("dana", &["--valid-for", "2 hours", "--dry-run"]).expect(0).shows("\"kind\": \"approval\"");
    team.approve_as("dana", &["--valid-for", "2 hours"]).expect(0);
    let times = ["recorded_at", "expires_at"].map(|field| {
        let record = team.newest();
        record[field].as_str().expect("a time").parse::<chrono::DateTime<chrono::Utc>>().expect("a time")
    });
    assert!((7199..=7201).contains(&(times[1] - times[0]).num_seconds()), "{times:?}");
    team.check(0, &[]);
    team.approve_as("dana", &["--withdraw"]).expect(0);
    assert!(codes(&team.check(1, &[])).contains(&"approval-withdrawn"));
}

#[test]
fn a_job_approves_nothing_under_whatever_name() {
    let server = GitServer::http();
    let mut team = Team::job(&server, POLICY);
    team.deploy("1", &[]).expect(0);
    team.commit(&[("billing/tax.rs", "1")], "Round half up");
    let approve = ["approve", "-e", "production", "--reason", "fine"];
    team.run(&approve).expect(2).says("the pipeline's key `ci:main`");
    team.env.set("DEPLOY_RECORD_PRINCIPAL", "dana");
    team.run(&approve).expect(2).says("the key belongs to `ci:main` in allowed_signers");
    team.env.unset("DEPLOY_RECORD_PRINCIPAL");
    assert_eq!(team.records().len(), 2);
    assert_eq!(codes(&team.check(1, &[])), ["approval-missing", "direct-push", "sensitive"]);
}

#[test]
fn one_in_the_name_of_another_that_waits_in_a_spool_is_not_appended() {
    let team = Team::laptop(POLICY);
    team.deploy("1", &[]).expect(0);
    let lock = team.log.join(".git/refs/heads/deploy-log.lock");
    std::fs::write(&lock, "").expect("written");
    team.approve_as("chen", &["--timeout", "1"]).expect(3).says("SPOOLED");
    std::fs::remove_file(&lock).expect("removed");
    let entries = std::fs::read_dir(team.log.join(".git/deploy-record/spool")).expect("a spool").flatten();
    let mut claims = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|kind| kind == "json"));
    let claim = claims.next().expect("a claim");
    let text = std::fs::read_to_string(&claim).expect("a claim");
    std::fs::write(&claim, text.replace("\"login\": \"chen\"", "\"login\": \"dana\"")).expect("written");
    std::fs::remove_file(claim.with_extension("json.sig")).expect("removed");
    let path = claim.display().to_string();
    let sign = ["-q", "-Y", "sign", "-n", "deploy-record-spool", "-f", &team.key_of("chen"), &path];
    assert_eq!(team.env.run("ssh-keygen".as_ref(), &sign, b"").code, 0);
    team.run(&["replay"]).expect(3).shows("LEFT").shows("signer-role");
    assert_eq!(team.records().len(), 2);
    team.deploy("1", &[]).expect(0);
}

#[test]
fn an_automated_run_is_held_against_the_authors_alone() {
    let server = GitServer::http();
    let mut team = Team::job(&server, POLICY);
    team.env.set("CI_PIPELINE_SOURCE", "schedule");
    team.deploy("1", &[]).expect(0);
    team.commit(&[("billing/tax.rs", "1")], "Round half up");
    team.approve_as("dana", &[]).expect(0);
    team.check(0, &[]);
    // whose author nobody knows
    team.write_to_main(".deploy-record.yml", &POLICY.replace("people: { ann: { git: [\"ann@acme.example\"] } }", ""));
    team.deploy("2", &[]).expect(1).says("(approval-not-proven)");
    assert_eq!(codes(&team.newest()), ["approval-missing", "approval-not-proven", "direct-push"]);
}
