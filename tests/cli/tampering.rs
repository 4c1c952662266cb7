//! Each way of tampering is found and named. The branch is rewritten with git's own plumbing.

use crate::support::env::{Output, TestEnv};

/// A log of five records, and what rewrites it.
struct Log {
    env: TestEnv,
}

impl Log {
    fn new() -> Self {
        let env = TestEnv::new();
        for version in ["1", "2", "3", "4", "5"] {
            env.deploy_record(&["record", "-e", "production", "--version", version, "--status", "success"]).expect(0);
        }
        env.deploy_record(&["verify"]).expect(0);
        Log { env }
    }

    fn commits(&self) -> Vec<String> {
        self.env.git(&["rev-list", "--reverse", "deploy-log"]).lines().map(str::to_owned).collect()
    }

    /// A commit with another's tree and message, on that parent, unsigned.
    fn copy(&self, commit: &str, parent: Option<&str>) -> String {
        let message = self.env.git(&["log", "-1", "--format=%B", commit]);
        self.make(&format!("{commit}^{{tree}}"), parent, &message)
    }

    fn make(&self, tree: &str, parent: Option<&str>, message: &str) -> String {
        let tree = self.env.git(&["rev-parse", tree]);
        let mut arguments = vec!["commit-tree", &tree];
        if let Some(parent) = parent {
            arguments.extend(["-p", parent]);
        }
        self.env.git_with(&arguments, message.as_bytes())
    }

    /// The branch anew, of copies of these commits.
    fn rebuild(&self, commits: &[&str]) {
        let mut parent: Option<String> = None;
        for commit in commits {
            parent = Some(self.copy(commit, parent.as_deref()));
        }
        self.set(&parent.expect("a commit"));
    }

    fn set(&self, commit: &str) {
        self.env.git(&["update-ref", "refs/heads/deploy-log", commit]);
    }

    /// A tree like that commit's, but with another content of one file.
    fn tree_with(&self, commit: &str, name: &str, content: &str) -> String {
        let blob = self.env.git_with(&["hash-object", "-w", "--stdin"], content.as_bytes());
        let listing = self.env.git(&["ls-tree", commit]);
        let line = |line: &str| {
            if line.ends_with(&format!("\t{name}")) { format!("100644 blob {blob}\t{name}") } else { line.to_owned() }
        };
        let listing: Vec<_> = listing.lines().map(line).collect();
        self.env.git_with(&["mktree"], (listing.join("\n") + "\n").as_bytes())
    }

    fn file(&self, commit: &str, name: &str) -> String {
        self.env.git(&["cat-file", "blob", &format!("{commit}:{name}")]) + "\n"
    }

    fn verify(&self) -> Output {
        self.env.deploy_record(&["verify"])
    }

    fn replace_third(&self, name: &str, from: &str, to: &str) {
        let commits = self.commits();
        let content = self.file(&commits[2], name);
        assert!(content.contains(from), "{content}");
        let tree = self.tree_with(&commits[2], name, &content.replace(from, to));
        let message = self.env.git(&["log", "-1", "--format=%B", &commits[2]]);
        let third = self.make(&tree, Some(&commits[1]), &message);
        let fourth = self.copy(&commits[3], Some(&third));
        self.set(&self.copy(&commits[4], Some(&fourth)));
    }
}

#[test]
fn an_edited_record() {
    let log = Log::new();
    log.replace_third("record.json", "\"version\": \"3\"", "\"version\": \"9\"");
    log.verify()
        .expect(1)
        .shows("signature-wrong record 3")
        .shows("prev record 4")
        .shows("commit-trailers record 3")
        .shows("NOT VERIFIED");
}

#[test]
fn an_unreadable_record() {
    let log = Log::new();
    log.replace_third("record.json", "{", "[");
    log.verify().expect(1).shows("record-unreadable").shows("prev record 4");
    log.env.deploy_record(&["show", "3"]).expect(1).says("record 3 can't be read");
    log.env.git(&["checkout", "--quiet", "deploy-log"]);
    log.verify().expect(1);
    let record = ["record", "-e", "production", "--version", "6", "--status", "success"];
    log.env.deploy_record(&record).expect(2).says("is checked out there");
}

#[test]
fn a_damaged_signature() {
    let log = Log::new();
    log.replace_third("record.json.sig", "BEGIN", "BEGONE");
    log.verify().expect(1).shows("signature-damaged record 3");
    log.env.deploy_record(&["log", "-e", "nowhere"]).expect(1).says("record 3 does not verify");
    log.env.deploy_record(&["log"]).expect(1).shows("success, NOT VERIFIED");
    log.env.deploy_record(&["show", "3"]).expect(1).shows("DOES NOT VERIFY");
}

#[test]
fn another_state() {
    let log = Log::new();
    log.replace_third("state.json", "production", "canada");
    let output = log.verify();
    output.expect(1).shows("state record 3");
    assert!(!output.stdout.contains("state record 5"), "named once: {}", output.stdout);
}

#[test]
fn records_cut_out_reordered_and_doubled() {
    let log = Log::new();
    let commits = log.commits();
    let commits: Vec<_> = commits.iter().map(String::as_str).collect();
    log.rebuild(&[commits[0], commits[1], commits[3], commits[4]]);
    log.verify().expect(1).shows("sequence record 4: expected record 3").shows("prev record 4");
    log.rebuild(&[commits[0], commits[2], commits[1], commits[3], commits[4]]);
    log.verify().expect(1).shows("sequence record 3: expected record 2").shows("sequence record 2");
    log.rebuild(&[commits[0], commits[1], commits[1], commits[2], commits[3], commits[4]]);
    log.verify().expect(1).shows("duplicate-id record 2").shows("sequence record 2");
    log.rebuild(&commits[1..]);
    log.verify().expect(1).shows("sequence record 2: expected record 1");
}

#[test]
fn other_trailers_unsigned_and_foreign_commits() {
    let log = Log::new();
    let commits = log.commits();
    let message = log.env.git(&["log", "-1", "--format=%B", &commits[4]]).replace("Record: 5", "Record: 4");
    log.set(&log.make(&format!("{}^{{tree}}", commits[4]), Some(&commits[3]), &message));
    log.verify().expect(1).shows("commit-trailers record 5").shows("commit-signature record 5");
    log.set(&log.make("main^{tree}", Some(&commits[4]), "hello"));
    log.verify().expect(1).shows("commit-foreign");
    let record = ["record", "-e", "production", "--version", "6", "--status", "success"];
    log.env.deploy_record(&record).expect(3).says("can't be gone on with").says("commit-foreign");
    log.set(&log.copy(&commits[4], Some(&commits[3])));
    log.env.deploy_record(&record).expect(3).says("commit-signature record 5");
    assert_eq!(log.commits().len(), 5);
}

#[test]
fn a_stranger_signs_and_a_wrong_log_answers() {
    let log = Log::new();
    let other = Log::new();
    let signers = other.env.path().join(".git/deploy-record/allowed_signers").display().to_string();
    log.env.deploy_record(&["verify", "--allowed-signers", &signers]).expect(1).shows("signer-unknown record 1");
    let commits = log.commits();
    let theirs = other.commits();
    log.env.git(&["fetch", "--quiet", &other.env.path().display().to_string(), "deploy-log"]);
    let third = log.copy(&theirs[2], Some(&commits[1]));
    log.set(&third);
    log.verify().expect(1).shows("log-id record 3").shows("signer-unknown record 3").shows("prev record 3");
}

#[test]
fn a_tip_that_is_signed_anew_by_another_key_of_the_same_signer() {
    let env = TestEnv::new();
    let (one, two) = (env.key("one", "ed25519"), env.key("two", "ed25519"));
    let lines = [&one, &two].map(|key| std::fs::read_to_string(env.trust("ci:main", key)).expect("a line"));
    let signers = env.beside("both").display().to_string();
    std::fs::write(&signers, lines.concat()).expect("signers");
    let flags = ["--allowed-signers", &signers, "--key", &one.display().to_string()];
    let record = ["record", "-e", "production", "--version", "1", "--status", "success"];
    env.deploy_record(&[&flags[..], &record[..]].concat()).expect(0);
    let log = Log { env };
    let tip = log.commits()[0].clone();
    let tree = log.tree_with(&tip, "README.md", "Approved by everybody\n");
    let message = log.env.git(&["log", "-1", "--format=%B", &tip]);
    let key = format!("user.signingkey={}", two.display());
    let sign = ["-c", "gpg.format=ssh", "-c", &key, "commit-tree", "-S", &tree];
    log.set(&log.env.git_with(&sign, message.as_bytes()));
    log.env.deploy_record(&["verify", "--allowed-signers", &signers]).expect(1).shows("is signed by another key");
    log.env.deploy_record(&[&flags[..], &record[..]].concat()).expect(3).says("is signed by another key");
}

#[test]
fn what_is_far_too_large_is_not_even_loaded() {
    let log = Log::new();
    let commits = log.commits();
    let large = "x".repeat(64 << 20);
    let tree = log.tree_with(&commits[4], "record.json", &large);
    let message = log.env.git(&["log", "-1", "--format=%B", &commits[4]]);
    log.set(&log.make(&tree, Some(&commits[3]), &message));
    log.verify().expect(1).shows("record-unreadable").shows("the most is 1048576");
    let tree = log.tree_with(&commits[4], "state.json", &large);
    log.set(&log.make(&tree, Some(&commits[3]), &message));
    log.verify().expect(1).shows("state record 5");
    let commit = log.make(&format!("{}^{{tree}}", commits[4]), Some(&commits[3]), &large);
    log.set(&commit);
    log.verify().expect(1).shows("commit-unreadable").shows("bytes long");
    log.env.deploy_record(&["status"]).expect(3).says("bytes long");
}

/// The most memory that a verification has, in MB, which finds this.
fn memory_of_verify(log: &Log, finds: &str) -> u64 {
    // the kernel's highest mark; the last look before the end is what counts
    let script = "\"$0\" verify & pid=$!; while grep VmHWM /proc/$pid/status 2>/dev/null; do sleep 0.001; done; wait $pid";
    let output = log.env.run("sh".as_ref(), &["-c", script, env!("CARGO_BIN_EXE_deploy-record")], b"");
    let mut marks = output.expect(1).shows(finds).stdout.lines().filter_map(|line| line.strip_prefix("VmHWM:"));
    let last = marks.next_back().and_then(|mark| mark.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    last.expect("a mark") / 1024
}

#[test]
fn what_is_huge_once_it_is_inflated_takes_no_memory() {
    let log = Log::new();
    let commits = log.commits();
    let message = log.env.git(&["log", "-1", "--format=%B", &commits[4]]);
    let huge = "x".repeat(300 << 20);
    for (name, finds) in [("record.json", "the most is 1048576"), ("record.json.sig", "signature-damaged")] {
        let tree = log.tree_with(&commits[4], name, &huge);
        log.set(&log.make(&tree, Some(&commits[3]), &message));
        let loose = memory_of_verify(&log, finds);
        log.env.git(&["repack", "-a", "-d", "-q"]);
        let packed = memory_of_verify(&log, finds);
        assert!(loose < 100 && packed < 100, "{name}: {loose} MB, {packed} MB");
    }
}

#[test]
fn a_tree_that_is_none_of_the_logs_is_named_and_does_no_harm() {
    let log = Log::new();
    let commits = log.commits();
    let blob = log.env.git(&["rev-parse", "deploy-log:record.json"]);
    let many: String = (0..3000).map(|number| format!("100644 blob {blob}\tfile-{number}\n")).collect();
    let many = log.env.git_with(&["mktree"], many.as_bytes());
    let garbage = |content: &[u8]| log.env.git_with(&["hash-object", "-t", "tree", "--literally", "-w", "--stdin"], content);
    for (tree, why) in [
        (many, "is a tree of"),
        (garbage(b"no tree at all"), "is damaged"),
        (garbage(b"100644 record.json\0too short"), "is damaged"),
        (garbage(b"wrong record.json\0ids have 20 bytes here"), "is damaged"),
        (blob.clone(), "is a blob of"),
    ] {
        let text =
            format!("tree {tree}\nparent {}\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nRecord 6: x\n", commits[4]);
        let commit = log.env.git_with(&["hash-object", "-t", "commit", "--literally", "-w", "--stdin"], text.as_bytes());
        log.set(&commit);
        log.verify().expect(1).shows("commit-unreadable").shows(why).shows("5 records");
        log.env.deploy_record(&["record", "-e", "production", "--version", "6", "--status", "success"]).expect(3).says(why);
    }
    // neither a link nor a folder of that name is read as the record
    for entry in [format!("120000 blob {blob}"), format!("040000 tree {}", log.env.git(&["rev-parse", "deploy-log~1^{tree}"]))]
    {
        log.set(&commits[4]);
        let listing = log
            .env
            .git(&["ls-tree", "deploy-log"])
            .replace(&format!("100644 blob {blob}\trecord.json\n"), &format!("{entry}\trecord.json\n"));
        let tree = log.env.git_with(&["mktree"], (listing + "\n").as_bytes());
        log.set(&log.make(&tree, Some(&commits[3]), "Record 5: x"));
        log.verify().expect(1).shows("commit-files");
    }
}

#[test]
fn a_merge_into_the_log_is_named_and_not_gone_on_with() {
    let log = Log::new();
    let commits = log.commits();
    let tree = log.env.git(&["rev-parse", &format!("{}^{{tree}}", commits[4])]);
    let message = log.env.git(&["log", "-1", "--format=%B", &commits[4]]);
    let key = format!("user.signingkey={}", log.env.path().join(".git/deploy-record/key").display());
    let sign = ["-c", "gpg.format=ssh", "-c", &key, "commit-tree", "-S", &tree, "-p", &commits[3], "-p", "main"];
    log.set(&log.env.git_with(&sign, message.as_bytes()));
    let verify = log.verify();
    verify.expect(1).shows("commit-parents").shows("2 parents instead of 1");
    assert!(!verify.stdout.contains("commit-foreign"), "{}", verify.stdout);
    let record = ["record", "-e", "production", "--version", "6", "--status", "success"];
    log.env.deploy_record(&record).expect(3).says("commit-parents");
}

#[test]
fn a_truncated_log_and_two_histories_are_shown_by_a_checkpoint() {
    let log = Log::new();
    let checkpoint =
        log.verify().stdout.lines().find_map(|line| line.strip_prefix("checkpoint: ").map(str::to_owned)).expect("checkpoint");
    log.env.deploy_record(&["verify", "--checkpoint", &checkpoint]).expect(0);
    log.set(&log.commits()[3]);
    log.verify().expect(0);
    log.env.deploy_record(&["verify", "--checkpoint", &checkpoint]).expect(1).shows("checkpoint-missing record 5");
    log.env.deploy_record(&["record", "-e", "production", "--version", "other", "--status", "failed"]).expect(0);
    log.verify().expect(0);
    log.env.deploy_record(&["verify", "--checkpoint", &checkpoint]).expect(1).shows("checkpoint-other record 5");
}
