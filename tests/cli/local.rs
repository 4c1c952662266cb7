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
    env.deploy_record(&["log", "--last", "1", "--format", "csv"]).expect(0).shows("#,start,when,project,environment");
    let json = env.deploy_record(&["log", "--format", "json"]);
    let first: serde_json::Value = serde_json::from_str(json.stdout.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&first["verified"], &first["record"]["seq"]), (&true.into(), &2.into()));
    env.deploy_record(&["show", "2"]).expect(0).shows("1.4.1 (record 1)").shows("ssh-keygen -Y verify");
    env.deploy_record(&["show", "9"]).expect(2).says("holds no record 9");
    env.deploy_record(&["status"]).expect(0).shows("production");
    env.deploy_record(&["schema", "record"]).expect(0).shows("deploy-record/v1");
    env.deploy_record(&["schema", "config"]).expect(0).shows("\"approval_for\"");
}

#[test]
fn stock_tools_accept_what_was_made() {
    for kind in ["ed25519", "ecdsa"] {
        let env = TestEnv::new();
        let key = env.key("key", kind);
        let signers = env.trust("ci:main", &key);
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

/// Secrets of each kind, put together here so that no scanner takes this file for a leak.
fn secrets() -> Vec<String> {
    let random = "Ab3dEf6hIj9lMn2pQr5tUv8xYz1bCd4fGh7j";
    let capitals = "ABCDEFGH2345JKLM";
    let private_key = format!("-----BEGIN {0} KEY-----\n{random}{random}\n-----END {0} KEY-----", "PRIVATE");
    [
        ["glpat", "-", &random[..20]].concat(),
        ["AK", "IA", capitals].concat(),
        ["gh", "p_", random].concat(),
        ["xox", "b-123456789012-123456789012-", &random[..24]].concat(),
        ["sk_", "live_", &random[..24]].concat(),
        ["eyJhbGciOiJIUzI1NiJ9.", "eyJzdWIiOiIxMjM0NTY3ODkwIn0.", random].concat(),
        private_key,
        "correct-horse-battery".to_owned(),
    ]
    .to_vec()
}

#[test]
fn secrets_get_into_nothing() {
    for (number, secret) in secrets().into_iter().enumerate() {
        let mut env = TestEnv::new();
        env.set("DEPLOY_PASSWORD", "correct-horse-battery");
        let line = secret.replace('\n', " ");
        env.git(&["config", "user.name", &format!("Ann {line}")]);
        env.git(&["remote", "add", "origin", &format!("https://bob:hunter2hunter2{number}@gitlab.example/grp/app.git")]);
        env.git(&["commit", "--quiet", "--allow-empty", "-m", &format!("Title {secret}")]);
        let record = [
            "record",
            "-e",
            "staging",
            "--status",
            "failed",
            &format!("--version={line}"),
            "--note",
            &format!("a note with {secret}"),
            &format!("--ticket={line}"),
            &format!("--check={line}=failed=https://ci.example/?token={}", line.replace(' ', "+")),
            "-v",
        ];
        let output = env.deploy_record(&record);
        output.expect(0).says("took out what looks like a secret");
        let show = env.deploy_record(&["show", "1"]);
        let wrong = [
            env.deploy_record(&["run", &format!("--environment={line}"), "--", "true"]),
            env.deploy_record(&["run", "-e", "x", &secret]),
            env.deploy_record(&["log", "--log", &format!("https://bob:{line}@127.0.0.1:1/x.git"), "--timeout", "1"]),
            env.deploy_record(&["log", &format!("--config={line}")]),
            env.deploy_record(&["record", "-e", "x", "--status", "failed", &format!("--key={secret}")]),
            env.deploy_record(&["record", "-e", "x", "--status", "failed", &format!("--commit={line}")]),
        ];
        let mut everything = env.git(&["log", "-p", "deploy-log"]) + &output.stdout + &output.stderr + &show.stdout;
        for output in wrong {
            assert_ne!(output.code, 0);
            everything.push_str(&(output.stdout + &output.stderr));
        }
        let inner = secret.lines().nth(1).unwrap_or(&secret);
        for found in [secret.as_str(), inner, "hunter2hunter2"] {
            assert!(!everything.contains(found), "{found} in\n{everything}");
        }
    }
}

#[test]
fn a_key_comes_by_variable_as_text_or_base64_locked_or_not() {
    let mut env = TestEnv::new();
    let key = env.key("ci", "ed25519");
    let signers = env.trust("ci:main", &key);
    let lock = ["-q", "-p", "-N", "secret phrase", "-f", &key.display().to_string()];
    assert_eq!(env.run(OsStr::new("ssh-keygen"), &lock, b"").code, 0);
    let text = std::fs::read_to_string(&key).expect("the key");
    let base64 = env.run(OsStr::new("base64"), &["-w0"], text.as_bytes()).stdout;
    let record = ["record", "-e", "production", "--status", "success", "--allowed-signers", &signers];
    env.set("DEPLOY_RECORD_KEY_PASSPHRASE", "secret phrase");
    for form in [&text, &base64, &text.replace('\n', " "), &text.replace('\n', "\r\n"), &text.replace('\n', "\\n")] {
        env.set("DEPLOY_RECORD_KEY", form);
        env.deploy_record(&record).expect(0);
    }
    env.set("DEPLOY_RECORD_KEY", &base64[..300]);
    env.deploy_record(&record).expect(2).says("its end is missing");
    env.set("DEPLOY_RECORD_KEY", &base64);
    env.set("DEPLOY_RECORD_KEY_PASSPHRASE", "another");
    env.deploy_record(&record).expect(2).says("the passphrase does not open the key");
    env.unset("DEPLOY_RECORD_KEY_PASSPHRASE");
    env.deploy_record(&record).expect(2).says("DEPLOY_RECORD_KEY_PASSPHRASE");
    env.set("DEPLOY_RECORD_KEY", "no/such/file");
    env.deploy_record(&record).expect(2).says("`no/such/file` does not exist");
    assert_eq!(env.records(&env.path()).len(), 5);
}

#[test]
fn a_secret_at_the_edge_of_what_is_kept_is_found_before_the_cut() {
    let env = TestEnv::new();
    let token = ["glpat", "-", "Ab3dEf6hIj9lMn2pQr5t"].concat();
    for before in 65_490..65_536 - 24 {
        if before % 5 == 0 {
            let note = format!("{} {token} {}", "x".repeat(before), "y".repeat(2_000));
            let draft = ["record", "-e", "staging", "--status", "success", "--dry-run", "--note", &note];
            let output = env.deploy_record(&draft);
            output.expect(0).shows("[cut here, ");
            assert!(!output.stdout.contains(&token[..16]), "{before}");
        }
    }
}

#[test]
fn a_clone_that_lacks_the_shared_logs_branch_does_not_begin_another() {
    let origin = TestEnv::new();
    let key = origin.key("chen", "ed25519");
    origin.commit_trust_root("chen", &key);
    let key = key.display().to_string();
    let record = ["record", "-e", "production", "--version", "1", "--status", "success", "--key", &key];
    origin.deploy_record(&record).expect(0);
    let env = TestEnv::without_repository();
    env.git(&["clone", "--quiet", "--single-branch", &format!("file://{}", origin.path().display()), "."]);
    env.deploy_record(&record).expect(2).says("has no branch `deploy-log`, and `origin` may have one").says("git fetch origin");
    assert_eq!(env.git(&["branch", "--list", "deploy-log"]), "");
    env.deploy_record(&[&record[..], &["--log", "local"]].concat()).expect(0).says("new-log");
}

#[test]
fn a_part_of_a_log_is_not_called_tampered_with() {
    let origin = TestEnv::new();
    for version in ["1", "2", "3"] {
        origin.deploy_record(&["record", "-e", "production", "--version", version, "--status", "success"]).expect(0);
    }
    for part in [["--depth", "2"], ["--filter", "blob:none"]] {
        let env = TestEnv::without_repository();
        let url = format!("file://{}", origin.path().display());
        origin.git(&["config", "uploadpack.allowFilter", "true"]);
        env.git(&["clone", "--quiet", "--bare", "--no-single-branch", part[0], part[1], &url, "log.git"]);
        let log = env.path().join("log.git").display().to_string();
        env.deploy_record(&["verify", "--log", &log]).expect(3).says("git fetch --unshallow");
    }
}

#[test]
fn gits_own_rewriting_of_addresses_changes_nothing() {
    let server = crate::support::git_server::GitServer::http();
    let mut env = TestEnv::gitlab_job(&server);
    let config = env.beside("gitconfig");
    let rewrite = format!(
        "[url \"https://gitlab-ci-token:x@127.0.0.1:1/\"]\n\tinsteadOf = {0}/\n[url \"ssh://git@127.0.0.1/\"]\n\tpushInsteadOf = {0}/\n",
        server.url()
    );
    std::fs::write(&config, rewrite).expect("git's configuration");
    env.set("GIT_CONFIG_GLOBAL", &config.display().to_string());
    std::fs::copy(&config, env.beside("home").join(".gitconfig")).expect("git's configuration");
    env.deploy_record(&["run", "-e", "production", "--", "true"]).expect(0).says("record 2:");
    env.deploy_record(&["verify"]).expect(0);
}

#[test]
fn one_commit_with_monstrous_words_does_not_stop_a_deployment() {
    let env = TestEnv::new();
    env.deploy_record(&["record", "-e", "production", "--version", "1", "--status", "success"]).expect(0);
    for number in 0..20 {
        let author = format!("--author={} <a@acme.example>", format!("{number}").repeat(30_000));
        let ticket = format!("{}-{number}1", "T".repeat(60_000));
        env.git_with(&["commit", "--quiet", "--allow-empty", &author, "-F", "-"], ticket.as_bytes());
    }
    env.deploy_record(&["run", "-e", "production", "--", "true"]).expect(0);
    env.deploy_record(&["verify"]).expect(0);
}

#[test]
fn what_is_no_file_is_no_configuration_and_no_key() {
    let env = TestEnv::new();
    env.run(OsStr::new("mkfifo"), &["pipe"], b"");
    for path in ["/dev/zero", "pipe", "."] {
        env.deploy_record(&["log", "--config", path]).expect(2).says("is no file of at most 1 MiB");
        env.deploy_record(&["log", "--allowed-signers", path]).expect(2).says("is no file of at most 1 MiB");
        env.deploy_record(&["run", "-e", "x", "--key", path, "--", "true"]).expect(2);
    }
    env.run(OsStr::new("ln"), &["-s", "nowhere", ".deploy-record.yml"], b"");
    env.deploy_record(&["log"]).expect(2).says(".deploy-record.yml");
}

#[test]
fn the_command_does_not_see_the_signing_key() {
    let mut env = TestEnv::new();
    let key = env.key("key", "ed25519");
    let signers = env.trust("ci:main", &key);
    env.set("DEPLOY_RECORD_KEY", &std::fs::read_to_string(&key).expect("the key"));
    env.set("DEPLOY_RECORD_TOKEN", "a-token-of-some-length");
    env.set("DEPLOY_TARGET", "eu-1");
    let run = env.deploy_record(&["run", "-e", "production", "--allowed-signers", &signers, "--", "env"]);
    run.expect(0).shows("DEPLOY_TARGET=eu-1");
    assert!(!run.stdout.contains("DEPLOY_RECORD_KEY") && !run.stdout.contains("DEPLOY_RECORD_TOKEN"), "{}", run.stdout);
}

#[test]
fn a_dry_run_makes_nothing() {
    let env = TestEnv::new();
    let run = env.deploy_record(&["run", "-e", "production", "--dry-run", "--", "touch", "ran"]);
    run.expect(0).shows("\"status\": \"running\"").says("would run `touch`");
    env.deploy_record(&["record", "-e", "production", "--status", "success", "--dry-run"]).expect(0);
    assert!(!env.path().join("ran").exists() && !env.path().join(".git/deploy-record").exists());
    assert_eq!(env.git(&["branch", "--list", "deploy-log"]), "");
}

#[test]
fn a_persons_own_key_signs_by_the_path_of_its_public_half() {
    let env = TestEnv::new();
    let key = env.key("chen", "ed25519");
    env.commit_trust_root("chen", &key);
    env.git(&["config", "gpg.format", "ssh"]);
    env.git(&["config", "user.signingkey", &format!("{}.pub", key.display())]);
    env.deploy_record(&["run", "-e", "production", "--", "true"]).expect(0);
    assert_eq!(env.records(&env.path())[0]["signer"], "chen");
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("signed by `chen`").shows("trust root: main at");
    // with the agent gone and no private key beside it, the reason is told
    std::fs::remove_file(&key).expect("the key");
    env.deploy_record(&["run", "-e", "production", "--", "touch", "ran"])
        .expect(2)
        .says("no private key is at hand")
        .says("ssh-add");
    assert!(!env.path().join("ran").exists());
}

#[test]
fn the_trust_root_is_the_default_branchs_whatever_is_checked_out() {
    let env = TestEnv::new();
    let key = env.key("chen", "ed25519");
    env.commit_trust_root("chen", &key);
    let record = ["record", "-e", "production", "--version", "1", "--status", "success", "--key"];
    env.deploy_record(&[&record[..], &[&key.display().to_string()]].concat()).expect(0);
    env.git(&["checkout", "--quiet", "-b", "hotfix"]);
    let mallory = env.key("mallory", "ed25519");
    env.commit_trust_root("mallory", &mallory);
    env.deploy_record(&["verify"]).expect(0).shows("trust root: main at");
    env.deploy_record(&[&record[..], &[&mallory.display().to_string()]].concat()).expect(2).says("add this line");
}

#[test]
fn a_revoked_key_is_refused_before_anything_runs() {
    let env = TestEnv::new();
    let (good, stolen) = (env.key("good", "ed25519"), env.key("stolen", "ed25519"));
    let signers =
        [env.trust("ci:main", &good), env.trust("ci:old", &stolen)].map(|path| std::fs::read_to_string(path).expect("a line"));
    let path = env.beside("signers").display().to_string();
    std::fs::write(&path, signers.concat()).expect("signers");
    let run = |key: &std::path::Path, file: &str| {
        env.deploy_record(&[
            "run",
            "-e",
            "x",
            "--allowed-signers",
            &path,
            "--key",
            &key.display().to_string(),
            "--",
            "touch",
            file,
        ])
    };
    run(&stolen, "first").expect(0);
    let public = env.run(OsStr::new("ssh-keygen"), &["-lf", &stolen.display().to_string()], b"").stdout;
    let fingerprint = public.split(' ').nth(1).expect("a fingerprint");
    let config = format!("signers: {{ revoked: [{{ key: \"{fingerprint}\", after: 2 }}] }}\n");
    std::fs::write(env.path().join(".deploy-record.yml"), config).expect("config");
    run(&stolen, "second").expect(2).says("revoked before record 3");
    assert!(!env.path().join("second").exists());
    run(&good, "third").expect(0).says("record 4:");
    env.deploy_record(&["verify", "--allowed-signers", &path]).expect(0);
}

#[test]
fn a_repositorys_own_key_says_nothing_about_other_logs() {
    let (env, other) = (TestEnv::new(), TestEnv::new());
    let record = ["record", "-e", "production", "--version", "1", "--status", "success"];
    other.deploy_record(&record).expect(0);
    let theirs = other.path().display().to_string();
    let verify = ["verify", "--log", &theirs];
    env.deploy_record(&verify).expect(3).shows("vouched for by nobody");
    env.deploy_record(&record).expect(0);
    env.deploy_record(&verify).expect(3).shows("vouched for by nobody");
    env.deploy_record(&["verify"]).expect(0);
}

#[test]
fn without_a_log_every_reading_command_says_so() {
    let env = TestEnv::new();
    for command in [&["status"][..], &["log"], &["show", "1"], &["verify"]] {
        env.deploy_record(command).expect(3).says("there is no log: branch `deploy-log`");
    }
}

#[test]
fn a_10_mb_note_is_cut_with_a_mark() {
    let env = TestEnv::new();
    let message = format!("{}\n\n{}", "x".repeat(10 << 20), "Record: 7 sha256:00\n".repeat(1000));
    env.git_with(&["commit", "--quiet", "--allow-empty", "-F", "-"], message.as_bytes());
    env.deploy_record(&["run", "-e", "staging", "--", "true"]).expect(0);
    let records = env.records(&env.path());
    let title = records[1]["commit"]["title"].as_str().expect("a title");
    assert!(title.len() <= 64 * 1024 && title.ends_with("[cut here, 10485760 bytes in all]"));
    env.deploy_record(&["verify"]).expect(0);
}

#[test]
fn bytes_that_are_no_utf8_are_recorded_as_what_can_be_read() {
    let env = TestEnv::new();
    env.git_with(
        &["-c", "i18n.commitEncoding=ISO-8859-1", "commit", "--quiet", "--allow-empty", "-F", "-"],
        b"caf\xe9 \xff\xfe title",
    );
    env.deploy_record(&["record", "-e", "staging", "--status", "success"]).expect(0);
    assert_eq!(env.records(&env.path())[0]["commit"]["title"], "caf\u{fffd} \u{fffd}\u{fffd} title");
    env.deploy_record(&["verify"]).expect(0);
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
    run(&env, &["run", "-e", "staging"]).expect(2).says("line 1: servise: is an unknown key").says("did you mean `service`?");
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
