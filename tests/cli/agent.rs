//! Keys that sign through an SSH agent, and security keys: checked by the real `ssh-keygen` and `git`.

use crate::support::agent::{Answer, RealAgent, SecurityKey, stand_in};
use crate::support::env::{Output, TestEnv, write_script};
use ssh_key::PublicKey;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn record(env: &TestEnv, options: &[&str]) -> Output {
    let record = ["record", "-e", "production", "--version", "1", "--status", "success", "--timeout", "60"];
    env.deploy_record(&[&record, options].concat())
}

/// Commits a trust root in which these keys are those people's.
fn trust(env: &TestEnv, keys: &[(&str, &PublicKey)]) {
    let line = |(principal, key): &(&str, &PublicKey)| {
        format!("{principal} namespaces=\"git,deploy-record\" {}\n", key.to_openssh().expect("text"))
    };
    let text: String = keys.iter().map(line).collect();
    std::fs::create_dir_all(env.path().join(".deploy-record")).expect("a folder");
    std::fs::write(env.path().join(".deploy-record/allowed_signers"), text).expect("a trust root");
    env.git(&["add", ".deploy-record"]);
    env.commit("Trust");
}

fn public(path: &Path) -> PublicKey {
    let text = std::fs::read_to_string(path.with_extension("pub")).expect("a public key");
    let bare: Vec<_> = text.split_whitespace().take(2).collect();
    PublicKey::from_openssh(&bare.join(" ")).expect("a public key")
}

/// The newest record and its commit hold for stock tools, and the whole log for us.
#[track_caller]
fn check(env: &TestEnv, principal: &str) {
    let allowed = env.path().join(".deploy-record/allowed_signers").display().to_string();
    let blob = |name: &str| env.git(&["cat-file", "blob", &format!("deploy-log:{name}")]);
    let signature = env.beside("record.sig");
    std::fs::write(&signature, format!("{}\n", blob("record.json.sig"))).expect("a signature");
    let record = format!("{}\n", blob("record.json"));
    let arguments =
        ["-Y", "verify", "-f", &allowed, "-I", principal, "-n", "deploy-record", "-s", &signature.display().to_string()];
    env.run("ssh-keygen".as_ref(), &arguments, record.as_bytes()).expect(0);
    env.git(&["-c", &format!("gpg.ssh.allowedSignersFile={allowed}"), "verify-commit", "deploy-log"]);
    env.deploy_record(&["verify", "--deep"]).expect(0).shows("verified: ");
}

/// A repository and a real agent.
fn with_agent() -> (TestEnv, RealAgent) {
    let mut env = TestEnv::new();
    let agent = RealAgent::start(&env.beside("agent"));
    env.set("SSH_AUTH_SOCK", &env.beside("agent").display().to_string());
    (env, agent)
}

#[test]
fn the_agent_signs_with_every_kind_of_key() {
    for kind in ["ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa"] {
        let (env, agent) = with_agent();
        let (name, bits) = kind.split_once('-').unwrap_or((kind, ""));
        let path = env.beside("key");
        let bits = if bits.is_empty() { vec![] } else { vec!["-b", bits] };
        let file = path.display().to_string();
        let arguments = [&["-q", "-t", name, "-N", "", "-f", &file], &bits[..]].concat();
        env.run("ssh-keygen".as_ref(), &arguments, b"").expect(0);
        agent.add(&["-q", &path.display().to_string()], "");
        std::fs::remove_file(&path).expect("removed");
        trust(&env, &[("ann", &public(&path))]);
        let file = path.with_extension("pub").display().to_string();
        record(&env, &["--key", &file]).expect(0).says("record 1:");
        check(&env, "ann");
        record(&env, &["--key", &public(&path).to_openssh().expect("text")]).expect(0).says("record 2:");
        check(&env, "ann");
    }
}

#[test]
fn gits_signing_key_may_be_in_the_agent_alone() {
    let (env, agent) = with_agent();
    let key = env.key("key", "ed25519");
    agent.add(&["-q", &key.display().to_string()], "");
    std::fs::remove_file(&key).expect("removed");
    trust(&env, &[("ann", &public(&key))]);
    // git says nothing, and one key of the agent is trusted
    record(&env, &[]).expect(0);
    env.git(&["config", "gpg.format", "ssh"]);
    let literal = format!("key::{}", public(&key).to_openssh().expect("text"));
    for source in [literal, key.with_extension("pub").display().to_string()] {
        env.git(&["config", "user.signingkey", &source]);
        record(&env, &[]).expect(0);
    }
    check(&env, "ann");
    assert_eq!(env.records(&env.path()).len(), 3);
}

#[test]
fn a_locked_key_is_not_asked_for_where_the_agent_has_it() {
    let (env, agent) = with_agent();
    let path = env.beside("key").display().to_string();
    env.run("ssh-keygen".as_ref(), &["-q", "-t", "ed25519", "-N", "a passphrase", "-f", &path], b"").expect(0);
    trust(&env, &[("ann", &public(&env.beside("key")))]);
    record(&env, &["--key", &path]).expect(2).says("locked by a passphrase");
    agent.add(&["-q", &path], "a passphrase");
    record(&env, &["--key", &path]).expect(0);
    check(&env, "ann");
    // the agent itself is locked: it holds nothing then
    agent.add(&["-x"], "a lock");
    record(&env, &["--key", &path]).expect(2).says("locked by a passphrase");
    record(&env, &["--key", &format!("{path}.pub")]).expect(2).says("locked by a passphrase");
    std::fs::remove_file(&path).expect("removed");
    record(&env, &["--key", &format!("{path}.pub")]).expect(2).says("no private key is at hand").says("ssh-add");
    record(&env, &[]).expect(2).says("there is no signing key that the trust root has");
}

#[test]
fn several_keys_are_not_guessed_from() {
    let (env, agent) = with_agent();
    let (one, other) = (env.key("one", "ed25519"), env.key("other", "ed25519"));
    for key in [&one, &other] {
        agent.add(&["-q", &key.display().to_string()], "");
    }
    trust(&env, &[("ann", &public(&one)), ("ben", &public(&other))]);
    record(&env, &["-v"]).expect(2).says("several keys that the trust root has").says("there is no signing key");
    record(&env, &["--key", &other.with_extension("pub").display().to_string()]).expect(0);
    check(&env, "ben");
}

#[test]
fn a_key_that_is_not_trusted_is_not_opened() {
    let env = TestEnv::new();
    let (trusted, path) = (env.key("trusted", "ed25519"), env.beside("key").display().to_string());
    env.run("ssh-keygen".as_ref(), &["-q", "-t", "ed25519", "-N", "a passphrase", "-f", &path], b"").expect(0);
    trust(&env, &[("ann", &public(&trusted))]);
    env.git(&["config", "gpg.format", "ssh"]);
    for source in [&path, &format!("{path}.pub")] {
        env.git(&["config", "user.signingkey", source]);
        let output = record(&env, &[]);
        output.expect(2).says("there is no signing key that the trust root has");
        assert!(!output.stderr.contains("passphrase"), "{}", output.stderr);
    }
}

#[test]
fn a_security_key_in_the_agent_is_touched_once_for_each_signature() {
    let kinds: [fn(&TestEnv) -> SecurityKey; 2] =
        [|_| SecurityKey::ed25519(), |env| SecurityKey::ecdsa(&env.key("ecdsa", "ecdsa"))];
    for make in kinds {
        let mut env = TestEnv::new();
        let key = make(&env);
        let public = key.public();
        let signed = stand_in(&env.beside("agent"), key, Answer::Signature);
        env.set("SSH_AUTH_SOCK", &env.beside("agent").display().to_string());
        trust(&env, &[("ann", &public)]);
        let output = record(&env, &[]);
        output.expect(0).says("touch your security key to sign the record").says("touch your security key to sign the commit");
        assert_eq!((signed.load(Ordering::SeqCst), output.stderr.matches("touch your").count()), (2, 2));
        check(&env, "ann");
        // the spool gets a claim only where the log can't take the record
        env.set("DEPLOY_RECORD_LOG", "http://127.0.0.1:1/app.git");
        let run = env.deploy_record(&["record", "-e", "x", "--version", "1", "--status", "success", "--timeout", "2"]);
        run.expect(3).says("touch your security key to sign the claim");
        assert_eq!((signed.load(Ordering::SeqCst), run.stderr.matches("touch your").count()), (3, 1));
    }
}

#[test]
fn a_push_that_is_tried_again_is_not_signed_again() {
    use crate::support::git_server::{Failure, Fault, GitServer, Step};
    let server = GitServer::http();
    let mut env = TestEnv::new();
    let key = SecurityKey::ed25519();
    trust(&env, &[("ann", &key.public())]);
    let signed = stand_in(&env.beside("agent"), key, Answer::Signature);
    env.set("SSH_AUTH_SOCK", &env.beside("agent").display().to_string());
    env.set("DEPLOY_RECORD_TOKEN", server.job_token());
    env.set("DEPLOY_RECORD_LOG", &server.project_url());
    for (step, failure) in [(Step::RefsForPush, Failure::Status(503, "later".to_owned())), (Step::Push, Failure::CutBefore)] {
        server.inject(Fault { step, failure, times: 2 });
        signed.store(0, Ordering::SeqCst);
        record(&env, &[]).expect(0);
        assert_eq!(signed.load(Ordering::SeqCst), 2);
    }
    assert_eq!(env.records(server.repository()).len(), 2);
    env.deploy_record(&["verify", "--deep"]).expect(0);
}

#[test]
fn a_security_keys_file_signs_through_ssh_keygen() {
    let mut env = TestEnv::new();
    let key = SecurityKey::ed25519();
    let (file, public) = (env.beside("id_sk"), key.public());
    std::fs::write(&file, key.file()).expect("a key file");
    env.run("chmod".as_ref(), &["600", &file.display().to_string()], b"").expect(0);
    std::fs::write(env.beside("id_sk.pub"), public.to_openssh().expect("text")).expect("a public key");
    trust(&env, &[("ann", &public)]);
    // there is no hardware: the real ssh-keygen says so
    let path = file.display().to_string();
    record(&env, &["--key", &path]).expect(3).says("touch your security key").says("`ssh-keygen -Y sign` does not sign");
    // and here it asks one that is made of software
    stand_in(&env.beside("device"), key, Answer::Signature);
    let real = env.run("which".as_ref(), &["ssh-keygen"], b"").stdout.trim().to_owned();
    std::fs::create_dir(env.beside("bin")).expect("a folder");
    let seen = env.beside("seen").display().to_string();
    let script = format!(
        "echo \"$@\" >> {seen}\nfor file; do :; done\nSSH_AUTH_SOCK={} exec {real} -Y sign -n $4 -f $file.pub",
        env.beside("device").display()
    );
    write_script(&env.beside("bin").join("ssh-keygen"), &script);
    let old = std::env::var("PATH").expect("PATH");
    env.set("PATH", &format!("{}:{old}", env.beside("bin").display()));
    record(&env, &["--key", &path]).expect(0);
    env.git(&["config", "gpg.format", "ssh"]);
    env.git(&["config", "user.signingkey", &format!("{path}.pub")]);
    record(&env, &[]).expect(0);
    env.set("PATH", &old);
    check(&env, "ann");
    assert_eq!(std::fs::read_to_string(&seen).expect("calls").lines().count(), 4);
}

#[test]
fn an_agent_that_does_not_sign_right_signs_nothing() {
    let cases = [
        (Answer::Failure, "the SSH agent does not sign with the key SHA256:"),
        (Answer::HangUp, "it hangs up"),
        (Answer::Garbage, "its answer makes no sense"),
        (Answer::TooMuch, "its answer makes no sense"),
        (Answer::OfOtherContent, "the signature does not fit"),
    ];
    for (answer, words) in cases {
        let mut env = TestEnv::new();
        let key = SecurityKey::ed25519();
        trust(&env, &[("ann", &key.public())]);
        stand_in(&env.beside("agent"), key, answer);
        env.set("SSH_AUTH_SOCK", &env.beside("agent").display().to_string());
        record(&env, &[]).expect(3).says(words);
        assert_eq!(env.git(&["branch", "--list", "deploy-log"]), "");
    }
    let mut env = TestEnv::new();
    let key = env.key("key", "ed25519");
    trust(&env, &[("ann", &public(&key))]);
    env.set("SSH_AUTH_SOCK", "/no/such/socket");
    record(&env, &["-v"]).expect(2).says("the SSH agent (SSH_AUTH_SOCK) can't be used").says("there is no signing key");
}

#[test]
fn an_agent_that_hangs_is_given_up() {
    let mut env = TestEnv::new();
    let key = SecurityKey::ed25519();
    trust(&env, &[("ann", &key.public())]);
    stand_in(&env.beside("agent"), key, Answer::Nothing);
    env.set("SSH_AUTH_SOCK", &env.beside("agent").display().to_string());
    let begin = Instant::now();
    env.deploy_record(&["record", "-e", "x", "--version", "1", "--status", "success", "--timeout", "2"])
        .expect(3)
        .says("it does not answer in time");
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
}
