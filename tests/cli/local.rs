//! The main job in a repository on this machine.

use crate::support::env::TestEnv;
use std::ffi::OsStr;
use std::process::Stdio;

#[test]
fn a_run_leaves_two_records_and_passes_everything_through() {
    let env = TestEnv::new();
    let output = env.deploy_record_with(
        &["run", "--environment", "staging", "--", "sh", "-c", "cat; echo done; echo oops >&2"],
        b"input\n",
    );
    output.expect(0).says("made a signing key").says("new-log").says("record 2:").says("oops");
    assert_eq!(output.stdout, "input\ndone\n");
    let records = env.records(&env.path());
    assert_eq!(records.len(), 2);
    assert_eq!((&records[0]["status"], &records[1]["status"]), (&"running".into(), &"success".into()));
    assert_eq!(records[1]["finishes"], 1);
    assert_eq!(records[1]["commit"]["title"], "Round half up, PAY-7");
    assert_eq!(records[0]["actor"], serde_json::Value::Null);
    env.deploy_record(&["verify"]).expect(0).shows("verified: 2 records").shows("nobody else vouches for it");
}

#[test]
fn the_commands_exit_code_is_the_runs() {
    let env = TestEnv::new();
    let run = |script: &str| env.deploy_record(&["run", "-e", "production", "--version", "1.4.2", "--", "sh", "-c", script]);
    run("exit 7").expect(7);
    run("exit 1").expect(1);
    run("kill -9 $$").expect(137);
    env.deploy_record(&["run", "-e", "production", "--", "./no-such-script"]).expect(127);
    let statuses: Vec<_> =
        env.records(&env.path()).iter().map(|record| record["status"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(statuses, ["running", "failed", "running", "failed", "running", "failed", "running", "failed"]);
    env.deploy_record(&["verify"]).expect(0).shows("0 errors, 0 notices");
}

#[test]
fn a_cancelled_run_is_recorded() {
    let env = TestEnv::new();
    let program = env!("CARGO_BIN_EXE_deploy-record");
    let arguments = ["run", "-e", "production", "--", "sh", "-c", "echo ready; sleep 20 & wait"];
    let mut child =
        env.command(OsStr::new(program), &arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a child");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().expect("stdout")), &mut line).expect("a line");
    assert_eq!(line, "ready\n");
    assert_eq!(env.run(OsStr::new("kill"), &["-TERM", &child.id().to_string()], b"").code, 0);
    assert_eq!(child.wait().expect("an end").code(), Some(143));
    let records = env.records(&env.path());
    assert_eq!(records[1]["status"], "canceled");
}

#[test]
fn records_are_read_back() {
    let env = TestEnv::new();
    env.deploy_record(&["record", "-e", "production", "--version", "1.4.1", "--status", "success"]).expect(0);
    env.commit("Change nothing, PAY-8");
    let record =
        ["record", "-e", "production", "--version", "1.4.2", "--status", "success", "--ticket", "OPS-1", "--note", "a|b\n<i>"];
    env.deploy_record(&record).expect(0).shows("1.4.2");
    let records = env.records(&env.path());
    assert_eq!(records[1]["previous"]["version"], "1.4.1");
    assert_eq!(records[1]["changes"]["tickets"], serde_json::json!(["OPS-1", "PAY-8"]));
    assert_eq!(records[1]["changes"]["commits"], 1);
    env.deploy_record(&["log"]).expect(0).shows("1.4.2").shows("1.4.1");
    env.deploy_record(&["log", "--last", "1", "--format", "csv"]).expect(0).shows("#,when,environment");
    let json = env.deploy_record(&["log", "--format", "json"]);
    let first: serde_json::Value = serde_json::from_str(json.stdout.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&first["verified"], &first["record"]["seq"]), (&true.into(), &2.into()));
    env.deploy_record(&["show", "2"]).expect(0).shows("1.4.1 (record 1)").shows("ssh-keygen -Y verify");
    env.deploy_record(&["show", "9"]).expect(2).says("holds no record 9");
    env.deploy_record(&["status"]).expect(0).shows("production");
    env.deploy_record(&["schema", "record"]).expect(0).shows("deploy-record/v1");
}

#[test]
fn stock_tools_accept_what_was_made() {
    for kind in ["ed25519", "ecdsa"] {
        let env = TestEnv::new();
        let key = env.key("key", kind);
        let public = std::fs::read_to_string(key.with_extension("pub")).expect("public key");
        let words: Vec<_> = public.split_whitespace().take(2).collect();
        let signers = env.beside("allowed_signers");
        std::fs::write(&signers, format!("ci:main namespaces=\"git,deploy-record\" {}\n", words.join(" "))).expect("signers");
        let signers = signers.display().to_string();
        let flags = ["--key", &key.display().to_string(), "--allowed-signers", &signers];
        let run = ["run", "-e", "staging", "--", "true"];
        env.deploy_record(&[&flags[..], &run[..]].concat()).expect(0);
        env.deploy_record(&["--allowed-signers", &signers, "verify", "--deep"]).expect(0);
        for commit in env.git(&["rev-list", "deploy-log"]).lines() {
            let verify =
                ["-c", "gpg.format=ssh", "-c", &format!("gpg.ssh.allowedSignersFile={signers}"), "verify-commit", commit];
            env.git(&verify);
            let signature = env.beside("signature");
            let blob = |name: &str| env.run(OsStr::new("git"), &["cat-file", "blob", &format!("{commit}:{name}")], b"").stdout;
            std::fs::write(&signature, blob("record.json.sig")).expect("signature");
            let signature = signature.display().to_string();
            let arguments = ["-Y", "verify", "-f", &signers, "-I", "ci:main", "-n", "deploy-record", "-s", &signature];
            let verdict = env.run(OsStr::new("ssh-keygen"), &arguments, blob("record.json").as_bytes());
            assert_eq!(verdict.code, 0, "{kind}: {}", verdict.stderr);
        }
    }
}

#[test]
fn secrets_get_into_nothing() {
    let mut env = TestEnv::new();
    let token = ["glpat", "-", "Ab3dEf6hIj9lMn2pQr5t"].concat();
    env.set("DEPLOY_PASSWORD", "correct-horse-battery");
    let note = format!("token {token}, https://bob:hunter2hunter2@acme.example, correct-horse-battery");
    let output = env.deploy_record(&["record", "-e", "staging", "--status", "failed", "--version", &token, "--note", &note]);
    output.expect(0).says("took out what looks like a secret");
    let everything = env.git(&["log", "-p", "deploy-log"]) + &output.stdout + &output.stderr;
    for secret in [token.as_str(), "hunter2hunter2", "correct-horse-battery"] {
        assert!(!everything.contains(secret), "{secret}");
    }
}

#[test]
fn hostile_words_stay_words() {
    let env = TestEnv::new();
    env.git(&["checkout", "--quiet", "-b", "$(touch${IFS}x);`y`/#1"]);
    env.commit("Title \u{1b}[31m\u{202e} @all\n\nRecord: 99 sha256:00\nState: sha256:00");
    let version = "1.0\nRecord: 7 sha256:00\r\nState: x @all #1 | <img>";
    env.deploy_record(&["record", "-e", "staging", "--status", "success", "--version", version]).expect(0);
    let show = env.deploy_record(&["show", "1"]);
    assert!(!show.stdout.contains('\u{1b}') && !show.stdout.contains('\u{202e}'), "{}", show.stdout);
    let message = env.git(&["log", "-1", "--format=%B", "deploy-log"]);
    assert_eq!(message.matches("\nRecord: ").count(), 1, "{message}");
    assert!(!message.contains("@all") && !message.contains("#1"), "{message}");
    env.deploy_record(&["verify"]).expect(0);
}

#[test]
fn wrong_usage_is_told_and_nothing_is_written() {
    let mut env = TestEnv::new();
    let run = |env: &TestEnv, arguments: &[&str]| env.deploy_record(&[arguments, &["--", "touch", "ran"]].concat());
    run(&env, &["run"]).expect(2).says("--environment is missing");
    run(&env, &["run", "--environment", ""]).expect(2).says("it is empty");
    run(&env, &["run", "-e", "a;b"]).expect(2).says("a name has letters");
    run(&env, &["run", "-e", "staging", "--key", "/no/such/key"]).expect(2).says("/no/such/key");
    run(&env, &["run", "-e", "staging", "--log", "/no/such/log"]).expect(2);
    run(&env, &["run", "-e", "staging", "--commit", "feedbeef"]).expect(2).says("no commit");
    std::fs::write(env.path().join(".deploy-record.yml"), "servise: x\n").expect("config");
    run(&env, &["run", "-e", "staging"]).expect(2).says("unknown field `servise`").says("line 1");
    std::fs::remove_file(env.path().join(".deploy-record.yml")).expect("config");
    env.set("DEPLOY_RECORD_LOG", "");
    run(&env, &["run", "-e", "staging"]).expect(2).says("it is empty");
    env.unset("DEPLOY_RECORD_LOG");
    assert!(!env.path().join("ran").exists());
    assert_eq!(env.git(&["branch", "--list", "deploy-log"]), "");
    let env = TestEnv::without_repository();
    run(&env, &["run", "-e", "staging"]).expect(2).says("there is no git repository here");
}

#[test]
fn a_log_elsewhere_without_a_repository_at_hand() {
    let env = TestEnv::without_repository();
    let log = env.beside("log.git").display().to_string();
    env.git(&["init", "--quiet", "--bare", &log]);
    let record = ["record", "-e", "production", "--version", "1", "--status", "success", "--log", &log];
    env.deploy_record(&record).expect(2).says("there is no signing key");
}
