//! The copy of a remote log on a laptop: what is fetched, what is said offline, and that it never changes a verdict.

use crate::support::env::{Output, TestEnv};
use crate::support::git_server::{Failure, Fault, GitServer, Step};
use crate::support::ssh_server::SshServer;
use std::path::PathBuf;

const VERIFY: [&str; 1] = ["verify"];

/// How long a command tries that can't reach the server: all of it goes by.
const GIVE_UP: [&str; 2] = ["--timeout", "1"];

fn record(env: &TestEnv, version: &str) -> Output {
    env.deploy_record(&["record", "-e", "production", "--version", version, "--status", "success", "--timeout", "20"])
}

/// The same where it can't go well.
fn record_briefly(env: &TestEnv, version: &str) -> Output {
    let record = ["record", "-e", "production", "--version", version, "--status", "success"];
    env.deploy_record(&[&record[..], &GIVE_UP].concat())
}

/// A repository with a key that signs.
fn signer() -> TestEnv {
    let mut env = TestEnv::new();
    let key = env.key("ann", "ed25519");
    env.commit_trust_root("ann", &key);
    env.set("DEPLOY_RECORD_KEY", &key.display().to_string());
    env
}

/// The same with a log of so many records on that server.
fn laptop(server: &GitServer, records: usize) -> TestEnv {
    let mut env = signer();
    env.set("DEPLOY_RECORD_TOKEN", server.job_token());
    env.set("DEPLOY_RECORD_LOG", &server.project_url());
    for number in 1..=records {
        record(&env, &number.to_string()).expect(0);
    }
    env
}

/// The folder of the only copy.
fn folder(env: &TestEnv) -> PathBuf {
    let copies = std::fs::read_dir(env.path().join(".git/deploy-record/cache")).expect("a cache");
    let copies: Vec<_> = copies.map(|copy| copy.expect("a copy").path()).collect();
    assert_eq!(copies.len(), 1);
    copies[0].clone()
}

fn objects(env: &TestEnv) -> usize {
    let repository = folder(env).join("repository").display().to_string();
    let counts = env.git(&["-C", &repository, "count-objects", "-v"]);
    let count = |name: &str| counts.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<usize>().ok());
    count("count:").expect("loose objects") + count("in-pack:").expect("packed objects")
}

fn in_log(server: &GitServer, env: &TestEnv, arguments: &[&str]) -> String {
    env.git(&[&["-C", &server.repository().display().to_string()], arguments].concat())
}

#[test]
fn only_what_is_new_is_fetched() {
    let server = GitServer::http();
    let env = laptop(&server, 12);
    env.deploy_record(&VERIFY).expect(0).shows("verified: 12 records");
    let before = objects(&env);
    record(&env, "13").expect(0);
    for (command, shows) in [(&VERIFY[..], "verified: 13 records"), (&["log", "--all"], "12"), (&["status"], "13")] {
        env.deploy_record(command).expect(0).shows(shows);
    }
    let after = objects(&env);
    // six of the record, and those that they are told apart from
    assert!(after > before && after - before <= 12, "{before} objects, then {after}");
}

#[test]
fn a_shallow_look_into_a_deeper_copy_leaves_no_holes() {
    let server = GitServer::http();
    let env = laptop(&server, 4);
    env.deploy_record(&VERIFY).expect(0);
    for round in 1..=3_u32 {
        for number in 0..6 {
            record(&env, &format!("{round}.{number}")).expect(0);
        }
        env.deploy_record(&["status"]).expect(0).shows(&format!("{round}.5"));
        env.deploy_record(&["show", &(4 + 6 * round - 3).to_string()]).expect(0);
        let records = 4 + 6 * round;
        let output = env.deploy_record(&["verify", "-v", "--timeout", "20"]);
        output.expect(0).shows(&format!("verified: {records} records"));
        assert!(!output.stderr.contains("damaged"), "{}", output.stderr);
    }
}

#[test]
fn offline_the_copy_stands_for_the_log_and_says_so() {
    let server = GitServer::http();
    let env = laptop(&server, 3);
    env.deploy_record(&VERIFY).expect(0);
    let commands = [&VERIFY[..], &["log"], &["status"], &["show", "2"]];
    let read = |command: &[&str]| env.deploy_record(&[command, &GIVE_UP].concat());
    server.inject(Fault { step: Step::Any, failure: Failure::Status(503, "maintenance".to_owned()), times: usize::MAX });
    for command in commands {
        read(command).expect(0).says("offline (HTTP 503: maintenance): this is the log as of 20");
    }
    read(&VERIFY).expect(0).shows("verified: 3 records").shows("grp/app.git as of 20");
    record_briefly(&env, "4").expect(3).says("503");
    drop(server);
    for command in commands {
        read(command).expect(0).says("offline (no connection").says("this is the log as of 20");
    }
}

#[test]
fn offline_nothing_is_said_of_what_was_never_fetched() {
    let server = GitServer::http();
    let env = laptop(&server, 9);
    // what `status` needs of a log whose newest record a person signed is all of it; of a pipeline's it is one commit
    let mut job = TestEnv::gitlab_job(&server);
    job.set("DEPLOY_RECORD_BRANCH", "other");
    for version in ["1", "2", "3"] {
        record(&job, version).expect(0);
        job.set("CI_JOB_ID", &format!("30{version}"));
    }
    let signers = job.path().join(".deploy-record/allowed_signers").display().to_string();
    let read = |command: &[&str]| env.deploy_record(&[command, &["--branch", "other", "--allowed-signers", &signers]].concat());
    read(&["status"]).expect(0);
    server.inject(Fault { step: Step::Any, failure: Failure::Status(500, "down".to_owned()), times: usize::MAX });
    read(&["status", "--timeout", "1"]).expect(0).says("offline");
    let output = read(&["verify", "--timeout", "1"]);
    output.expect(3).says("can't reach");
    assert_eq!(output.stdout, "");
}

#[test]
fn what_the_server_says_is_never_answered_from_the_copy() {
    let server = GitServer::http();
    let env = laptop(&server, 2);
    env.deploy_record(&VERIFY).expect(0);
    for status in [401, 403, 404] {
        server.inject(Fault { step: Step::Any, failure: Failure::Status(status, "no".to_owned()), times: usize::MAX });
        let output = env.deploy_record(&VERIFY);
        output.expect(3).says(&format!("HTTP {status}"));
        assert!(!output.stderr.contains("offline") && output.stdout.is_empty(), "{}", output.stderr);
        server.clear_faults();
    }
    in_log(&server, &env, &["update-ref", "-d", "refs/heads/deploy-log"]);
    let output = env.deploy_record(&VERIFY);
    output.expect(3).says("there is no log").says("THE LOG WAS REWOUND OR REPLACED").says("its branch is gone now");
    assert!(!output.stderr.contains("offline"), "{}", output.stderr);
    let https = GitServer::https();
    let mut env = laptop(&https, 0);
    env.set("SSL_CERT_FILE", &https.ca_file().expect("CA").display().to_string());
    record(&env, "1").expect(0);
    env.deploy_record(&VERIFY).expect(0);
    env.set(
        "SSL_CERT_FILE",
        &GitServer::https().ca_file().map(std::fs::read).map_or(String::new(), |pem| {
            let path = env.beside("other.pem");
            std::fs::write(&path, pem.expect("an authority")).expect("written");
            path.display().to_string()
        }),
    );
    env.deploy_record(&VERIFY).expect(3).says("TLS failed");
}

#[test]
fn a_job_keeps_no_copy_and_without_a_folder_there_is_none() {
    let server = GitServer::http();
    let job = TestEnv::gitlab_job(&server);
    record(&job, "1").expect(0);
    job.deploy_record(&VERIFY).expect(0);
    assert!(!job.path().join(".git/deploy-record").exists());
    let mut env = laptop(&server, 0);
    let signers = job.path().join(".deploy-record/allowed_signers").display().to_string();
    env.set("DEPLOY_RECORD_ALLOWED_SIGNERS", &signers);
    // a folder that can't be made
    std::fs::create_dir_all(env.path().join(".git/deploy-record")).expect("a folder");
    std::fs::write(env.path().join(".git/deploy-record/cache"), "").expect("a file");
    env.deploy_record(&["verify", "-v"]).expect(0).says("no copy of the log is kept");
    let quiet = env.deploy_record(&["verify"]);
    assert!(!quiet.expect(0).stderr.contains("no copy"), "{}", quiet.stderr);
    // outside of a repository it is in the person's cache
    let mut outside = TestEnv::without_repository();
    for (name, value) in [("LOG", server.project_url()), ("TOKEN", server.job_token().to_owned()), ("ALLOWED_SIGNERS", signers)]
    {
        outside.set(&format!("DEPLOY_RECORD_{name}"), &value);
    }
    outside.deploy_record(&VERIFY).expect(0);
    assert!(outside.beside("home").join(".cache/deploy-record").exists());
    outside.set("XDG_CACHE_HOME", &outside.beside("elsewhere").display().to_string());
    outside.deploy_record(&VERIFY).expect(0);
    assert!(outside.beside("elsewhere").join("deploy-record").exists());
}

#[test]
fn many_readers_at_once_do_not_disturb_each_other() {
    let server = GitServer::http();
    let env = laptop(&server, 5);
    std::thread::scope(|scope| {
        for number in 0..10 {
            let env = &env;
            let command: &[&str] = if number % 2 == 0 { &["verify"] } else { &["status"] };
            scope.spawn(move || env.deploy_record(command).expect(0).code);
        }
    });
    env.deploy_record(&["verify"]).expect(0).shows("verified: 5 records");
}

/// What can happen to a repository.
fn damages() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "packs cut off",
            "for f in repository/objects/pack/*.pack; do chmod 600 $f; head -c 200 $f > x; cat x > $f; rm x; done",
        ),
        ("packs gone", "rm -rf repository/objects/pack"),
        (
            "packs with other bytes",
            "for f in repository/objects/pack/*.pack; do chmod 600 $f; printf xxxxxxxx | dd of=$f bs=1 seek=400 conv=notrunc status=none; done",
        ),
        ("all objects gone", "rm -rf repository/objects; mkdir repository/objects"),
        ("no configuration", "echo '[core' > repository/config"),
        ("no head", "rm -f repository/HEAD"),
        ("a reference to nothing", "echo 1234567890123456789012345678901234567890 > repository/refs/heads/deploy-log"),
        ("a reference of nonsense", "echo x > repository/refs/heads/deploy-log"),
        ("a lock left behind", "touch repository/refs/heads/deploy-log.lock repository/shallow.lock"),
        ("a shallow file of nonsense", "echo x > repository/shallow"),
        ("notes of nonsense", "echo x > seen; echo x > refreshed; echo x > whole"),
        ("no repository", "rm -rf repository; touch repository; rm repository"),
    ]
}

#[test]
fn a_damaged_copy_is_made_anew_and_changes_no_verdict() {
    let server = GitServer::http();
    let env = laptop(&server, 5);
    for (name, script) in damages() {
        for command in [&VERIFY[..], &["status"], &["log", "--all"]] {
            env.deploy_record(&VERIFY).expect(0);
            let damage = format!("cd {} && {script}", folder(&env).display());
            env.run("sh".as_ref(), &["-c", &damage], b"").expect(0);
            let output = env.deploy_record(command);
            assert_eq!(output.code, 0, "{name}, {command:?}: {}{}", output.stdout, output.stderr);
        }
    }
}

#[test]
fn a_damaged_copy_is_no_verdict_offline_either() {
    let server = GitServer::http();
    let env = laptop(&server, 5);
    for (name, script) in damages() {
        env.deploy_record(&VERIFY).expect(0);
        let damage = format!("cd {} && {script}", folder(&env).display());
        env.run("sh".as_ref(), &["-c", &damage], b"").expect(0);
        server.inject(Fault { step: Step::Any, failure: Failure::Status(503, "down".to_owned()), times: usize::MAX });
        let output = env.deploy_record(&["verify", "--timeout", "1"]);
        assert!([0, 3].contains(&output.code), "{name}: {}{}", output.stdout, output.stderr);
        assert!(!output.stdout.contains("NOT VERIFIED"), "{name}: {}", output.stdout);
        server.clear_faults();
    }
}

#[test]
fn a_log_that_was_rewound_or_replaced_is_said_loudly_and_the_evidence_stays() {
    let server = GitServer::http();
    let env = laptop(&server, 4);
    env.deploy_record(&VERIFY).expect(0);
    let head = in_log(&server, &env, &["rev-parse", "deploy-log"]);
    in_log(&server, &env, &["update-ref", "refs/heads/deploy-log", "deploy-log~2"]);
    let rewound = "THE LOG WAS REWOUND OR REPLACED";
    for _ in 0..2 {
        env.deploy_record(&["status"]).expect(0).says(rewound).says("it had record 4").says(&head);
        env.deploy_record(&VERIFY).expect(1).says(rewound).says("keep them as evidence").shows("verified: 2 records");
    }
    // nothing is appended from here; another machine has seen nothing, and makes another history with as many records
    record(&env, "3").expect(3).says("had record 4 when it was seen last, and ends with record 2 now").says("SPOOLED");
    let elsewhere = |versions: &[&str]| {
        let (own, aside) = (folder(&env), env.beside("aside"));
        std::fs::rename(&own, &aside).expect("another machine");
        versions.iter().for_each(|version| _ = record(&env, version).expect(0));
        std::fs::rename(&aside, &own).expect("this machine");
    };
    elsewhere(&["3", "4"]);
    env.deploy_record(&VERIFY).expect(1).says(rewound);
    env.deploy_record(&["log"]).expect(0).says(rewound);
    elsewhere(&["5"]);
    env.deploy_record(&["status"]).expect(0).says(rewound);
    env.deploy_record(&VERIFY).expect(1).says(rewound).shows("verified: 5 records");
    let evidence = folder(&env).join("repository").display().to_string();
    env.git(&["-C", &evidence, "cat-file", "-e", &format!("{head}:record.json")]);
    // the old history is back: everything is well
    in_log(&server, &env, &["update-ref", "refs/heads/deploy-log", &head]);
    let output = env.deploy_record(&VERIFY);
    assert!(!output.expect(0).stderr.contains(rewound), "{}", output.stderr);
    // what a person knows to be right
    in_log(&server, &env, &["update-ref", "refs/heads/deploy-log", "deploy-log~1"]);
    env.deploy_record(&VERIFY).expect(1);
    std::fs::remove_dir_all(folder(&env)).expect("removed");
    env.deploy_record(&VERIFY).expect(0);
}

#[test]
fn a_loss_that_was_accepted_is_not_told_again() {
    let server = GitServer::http();
    let env = laptop(&server, 4);
    env.deploy_record(&VERIFY).expect(0);
    in_log(&server, &env, &["update-ref", "refs/heads/deploy-log", "deploy-log~2"]);
    env.deploy_record(&VERIFY).expect(1);
    let recover = |range: &str| env.deploy_record(&["recover", "--reason", "reset by mistake", "--accept-loss", range]);
    recover("3..3").expect(0);
    env.deploy_record(&VERIFY).expect(1).says("it had record 4");
    record(&env, "5").expect(3).says("had record 4 when it was seen last");
    in_log(&server, &env, &["update-ref", "refs/heads/deploy-log", "deploy-log~1"]);
    recover("3..4").expect(0);
    let output = env.deploy_record(&VERIFY);
    assert!(!output.expect(0).shows("records 3 to 4 are lost").stderr.contains("REWOUND"), "{}", output.stderr);
    env.deploy_record(&["replay"]).expect(0).shows("record 4");
    record(&env, "6").expect(0).says("record 5:");
    env.deploy_record(&VERIFY).expect(0);
}

#[test]
fn a_log_behind_ssh_is_read_offline_from_the_copy_else_from_the_last_fetch() {
    let server = SshServer::start();
    let env = signer();
    env.git(&["remote", "add", "origin", &server.url()]);
    env.git(&["config", "core.sshCommand", &server.command()]);
    env.deploy_record(&["record", "-e", "x", "--version", "1", "--status", "success", "--log", &server.url()]).expect(0);
    env.git(&["fetch", "--quiet", "origin"]);
    drop(server);
    env.deploy_record(&[&VERIFY[..], &GIVE_UP].concat())
        .expect(0)
        .says("offline (no connection")
        .says("what the last `git fetch origin` brought");
    record_briefly(&env, "2").expect(3).says("no connection");
    let server = SshServer::start();
    env.git(&["remote", "set-url", "origin", &server.url()]);
    env.git(&["config", "core.sshCommand", &server.command()]);
    env.git(&["push", "--quiet", "origin", "origin/deploy-log:refs/heads/deploy-log"]);
    env.deploy_record(&VERIFY).expect(0);
    drop(server);
    env.deploy_record(&[&VERIFY[..], &GIVE_UP].concat())
        .expect(0)
        .says("offline (no connection")
        .says("this is the log as of 20");
}
