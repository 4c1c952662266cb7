//! Programs that are killed at any moment: nothing is lost, written twice, or said that is not so.

use crate::support::env::TestEnv;
use crate::support::git_server::GitServer;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How many deployments are recorded at each of the two logs, by how many at once.
const INTENTS: usize = 150;
const WRITERS: usize = 5;

/// How many percent of a program's usual time the latest kill comes after.
const LATEST_KILL: u64 = 115;

/// A seed of one's own repeats the drawn moments, as far as the machine does.
const SEED: &str = "DEPLOY_RECORD_TEST_SEED";

#[test]
fn kills_while_a_server_has_the_log() {
    let server = GitServer::http();
    server.set_cut_percent(3, 3, 11);
    let env = TestEnv::gitlab_job(&server);
    let spool = env.path().join(".deploy-record/spool");
    Site::new(env, server.repository().to_path_buf(), spool, true).endure();
}

#[test]
fn kills_while_the_log_is_on_this_machine() {
    let env = TestEnv::new();
    let git_directory = env.path().join(".git");
    let spool = git_directory.join("deploy-record/spool");
    Site::new(env, git_directory, spool, false).endure();
}

#[test]
fn a_kill_within_the_first_use_leaves_nothing_that_is_in_the_way() {
    let draws = Draws::new();
    for number in 0..24 {
        let env = TestEnv::new();
        let command = program(&env, &["record", "-e", "production", "--version", "1", "--status", "success"]);
        run_and_kill(command, Some(Duration::from_millis(draws.below(60))));
        let again = env.deploy_record(&["record", "-e", "production", "--version", "2", "--status", "success"]);
        assert_eq!(again.code, 0, "seed {}, kill {number}:\n{}", draws.seed, again.stderr);
        env.deploy_record(&["replay"]).expect(0);
        env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors");
    }
}

/// A log, and a place from where it is written to.
struct Site {
    env: TestEnv,
    log: PathBuf,
    spool: PathBuf,
    scratch: PathBuf,
    is_job: bool,
    draws: Draws,
    /// How long a program runs that nobody kills, in microseconds.
    usual: AtomicU64,
    told: Mutex<BTreeMap<String, Told>>,
}

/// What the programs of one deployment said and did before they were killed.
#[derive(Debug, Default)]
struct Told {
    /// The numbers that they gave out.
    seqs: BTreeSet<u64>,
    /// Whether something must be there of it.
    is_owed: bool,
    /// Whether its outcome must be there.
    is_end_owed: bool,
    is_in_two: bool,
}

impl Site {
    fn new(mut env: TestEnv, log: PathBuf, spool: PathBuf, is_job: bool) -> Site {
        let scratch = env.beside("scratch");
        std::fs::create_dir(&scratch).expect("a folder");
        env.set("TMPDIR", &scratch.display().to_string());
        let site =
            Site { env, log, spool, scratch, is_job, draws: Draws::new(), usual: AtomicU64::default(), told: Mutex::default() };
        let begin = Instant::now();
        site.record("first", None);
        site.usual.store(micros(begin.elapsed()), Ordering::SeqCst);
        site
    }

    fn endure(self) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        if number >= INTENTS {
                            return;
                        }
                        self.deploy(number);
                        if number % 10 == 9 {
                            self.check_meanwhile(number);
                        }
                    }
                });
            }
        });
        let before = self.in_log();
        let waiting = self.in_spool();
        self.check_reach(&before, &waiting);
        self.check_told(&before, &waiting);
        self.unlock();
        let replayed = self.env.deploy_record(&["replay"]);
        assert_eq!(replayed.code, 0, "{}: replay: {}\n{}", self.seed(), replayed.stdout, replayed.stderr);
        self.check_told(&self.in_log(), &BTreeMap::new());
        self.env.deploy_record(&["verify", "--deep"]).expect(0).shows("0 errors");
        let records = self.env.records(&self.log).len();
        self.env.deploy_record(&["replay"]).expect(0).says("nothing waits");
        assert_eq!(self.env.records(&self.log).len(), records, "{}: a second replay changed the log", self.seed());
        self.check_fsck();
        self.check_leftovers();
    }

    /// One deployment, by programs that each are killed at a moment drawn for it, or not at all.
    fn deploy(&self, number: usize) {
        let version = format!("v-{number}");
        match number % 3 {
            0 => self.record(&version, self.moment()),
            1 => self.run(&version),
            _ => self.start_and_finish(&version),
        }
    }

    fn record(&self, version: &str, moment: Option<Duration>) {
        let status = ["record", "--status", "success"];
        let ended = self.launch(version, &status, &[], moment);
        self.tell(version, |told| told.note(&ended));
    }

    fn run(&self, version: &str) {
        let ran = self.env.beside(&format!("ran-{version}"));
        let path = ran.display().to_string();
        let ended = self.launch(version, &["run"], &["--", "touch", &path], self.moment());
        self.tell(version, |told| {
            told.is_in_two = true;
            told.note(&ended);
            told.is_owed |= ran.exists();
            told.is_end_owed = ended.code == Some(0);
        });
    }

    fn start_and_finish(&self, version: &str) {
        let mut started = self.launch(version, &["start"], &[], self.moment());
        if self.is_job && started.code.is_none() && self.draws.below(2) == 0 {
            // the step is tried again; outside of jobs, nothing tells a second try from a second deployment
            self.tell(version, |told| told.note(&started));
            started = self.launch(version, &["start"], &[], None);
            assert_eq!(started.code, Some(0), "{}: {version}: {}", self.seed(), started.stderr);
        }
        self.tell(version, |told| {
            told.is_in_two = true;
            told.note(&started);
            told.is_owed |= started.code == Some(0);
        });
        let finish = |moment| self.launch(version, &["finish", "--status", "success"], &[], moment);
        let ended = finish(self.moment());
        let is_retried = ended.code.is_none() && started.code == Some(0) && self.draws.below(2) == 0;
        let again = is_retried.then(|| finish(None));
        self.tell(version, |told| {
            told.note(&ended);
            for ended in again.iter().chain([&ended]) {
                told.note(ended);
                told.is_end_owed |= ended.code == Some(0);
            }
        });
    }

    /// Runs the program for one deployment, as a job of its own and in an environment of its own.
    fn launch(&self, version: &str, begin: &[&str], end: &[&str], moment: Option<Duration>) -> Ended {
        let environment = format!("staging/{version}");
        let mut arguments = begin.to_vec();
        if begin[0] == "finish" {
            arguments.extend(["-e", &environment, "--timeout", "20"]);
        } else {
            arguments.extend(["-e", &environment, "--timeout", "20", "--version", version]);
        }
        arguments.extend(end);
        let mut command = program(&self.env, &arguments);
        let job = 1000 + version.trim_start_matches("v-").parse::<u64>().unwrap_or_default();
        if self.is_job {
            command.env("CI_JOB_ID", job.to_string());
        }
        let begin = Instant::now();
        let ended = run_and_kill(command, moment);
        if moment.is_none() && ended.code == Some(0) {
            // what is usual changes with the load; those that outran their kill would make it shorter each time
            let usual = self.usual.load(Ordering::SeqCst);
            self.usual.store((3 * usual + micros(begin.elapsed())) / 4, Ordering::SeqCst);
        }
        ended
    }

    /// When to kill; now and then not at all, to see how long it takes.
    fn moment(&self) -> Option<Duration> {
        if self.draws.below(8) == 0 {
            return None;
        }
        let latest = self.usual.load(Ordering::SeqCst) * LATEST_KILL / 100;
        Some(Duration::from_micros(self.draws.below(latest.max(1))))
    }

    fn tell(&self, version: &str, note: impl FnOnce(&mut Told)) {
        note(self.told.lock().expect("no panic").entry(version.to_owned()).or_default());
    }

    /// The log is sound at any moment, while others write and are killed.
    fn check_meanwhile(&self, number: usize) {
        let verified = self.env.deploy_record(&["verify"]);
        assert_eq!(verified.code, 0, "{}: verify after {number}: {}\n{}", self.seed(), verified.stdout, verified.stderr);
    }

    fn check_fsck(&self) {
        let log = self.log.display().to_string();
        let checked = self.env.run(OsStr::new("git"), &["-C", &log, "fsck", "--strict", "--no-dangling"], b"");
        assert_eq!(checked.code, 0, "{}: fsck: {}{}", self.seed(), checked.stdout, checked.stderr);
    }

    /// The kills came at all the moments that differ.
    fn check_reach(&self, records: &Records, waiting: &BTreeMap<String, usize>) {
        let told = self.told.lock().expect("no panic");
        let silent = told.iter().filter(|(_, told)| told.seqs.is_empty()).map(|(version, _)| version);
        let (mut nothing, mut unannounced) = (0, 0);
        for version in silent {
            match records.get(version) {
                Some(_) => unannounced += 1,
                None => nothing += usize::from(!waiting.contains_key(version)),
            }
        }
        let announced = told.values().filter(|told| !told.seqs.is_empty()).count();
        let claims: usize = waiting.values().sum();
        println!(
            "{}: {nothing} left nothing, {claims} a claim, {unannounced} a record unannounced, {announced} announced",
            self.seed()
        );
        assert!(nothing > 5 && announced > 5, "the kills did not reach everything");
        assert!(claims + unannounced > 0, "no kill came while a record was on its way");
    }

    /// All that was told or done is somewhere, as often as it should be.
    fn check_told(&self, records: &Records, waiting: &BTreeMap<String, usize>) {
        let is_replayed = waiting.is_empty();
        for (version, told) in self.told.lock().expect("no panic").iter() {
            let none = Vec::new();
            let found = records.get(version).unwrap_or(&none);
            let claims = waiting.get(version).copied().unwrap_or_default();
            let context = format!("{}: {version}: told {told:?}, in the log {found:?}, {claims} claims", self.seed());
            let starts: Vec<_> = found.iter().filter(|record| record.is_start).collect();
            let ends: Vec<_> = found.iter().filter(|record| !record.is_start).collect();
            assert!(starts.len() <= usize::from(told.is_in_two) && ends.len() <= 1, "twice: {context}");
            assert!(told.seqs.iter().all(|seq| found.iter().any(|record| record.seq == *seq)), "falsely told: {context}");
            assert!(!told.is_owed || found.len() + claims > 0, "lost: {context}");
            if is_replayed {
                assert!(!told.is_end_owed || ends.len() == 1, "the outcome is lost: {context}");
                let closes = |end: &&Seen| starts.iter().any(|start| end.finishes == Some(start.seq));
                assert!(!told.is_in_two || ends.iter().all(closes), "an end without its start: {context}");
            }
        }
        let strangers: Vec<_> =
            records.keys().filter(|version| !self.told.lock().expect("no panic").contains_key(*version)).collect();
        assert!(strangers.is_empty(), "{strangers:?}");
    }

    fn in_log(&self) -> Records {
        let mut records = Records::new();
        for record in self.env.records(&self.log) {
            let version = record["version"].as_str().expect("a version").to_owned();
            records.entry(version).or_default().push(Seen {
                seq: record["seq"].as_u64().expect("a number"),
                is_start: record["status"] == "running",
                finishes: record["finishes"].as_u64(),
            });
        }
        records
    }

    /// How many claims wait, by version.
    fn in_spool(&self) -> BTreeMap<String, usize> {
        let mut claims = BTreeMap::new();
        for path in files(&self.spool).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        {
            let claim: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).expect("a claim")).expect("whole");
            *claims.entry(claim["version"].as_str().expect("a version").to_owned()).or_default() += 1;
        }
        claims
    }

    /// A kill can leave git's own lock of the branch behind; the program names it, and the person removes it.
    fn unlock(&self) {
        let lock = self.log.join("refs/heads/deploy-log.lock");
        if lock.exists() {
            let blocked = self.env.deploy_record(&[
                "record",
                "-e",
                "staging",
                "--version",
                "first",
                "--status",
                "failed",
                "--timeout",
                "1",
            ]);
            blocked.expect(3).says("deploy-log.lock").says("SPOOLED");
            std::fs::remove_file(lock).expect("removed");
        }
    }

    /// What kills leave is cleared away by those that come later, once it is old.
    fn check_leftovers(&self) {
        let old = [files(&self.scratch), files(&self.spool)].concat();
        for path in &old {
            let yesterday = std::time::SystemTime::now() - Duration::from_secs(24 * 3600);
            std::fs::File::open(path).expect("still there").set_modified(yesterday).expect("its time");
        }
        self.record("first", None);
        self.env.deploy_record(&["replay"]).expect(0);
        let left = [files(&self.scratch), files(&self.spool)].concat();
        let left: Vec<_> = left.iter().filter(|path| !path.to_string_lossy().ends_with(".started")).collect();
        assert!(left.is_empty(), "{}: left: {left:?} of {}", self.seed(), old.len());
    }

    fn seed(&self) -> String {
        format!("{SEED}={}", self.draws.seed)
    }
}

impl Told {
    fn note(&mut self, ended: &Ended) {
        let seqs = ended
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("deploy-record: record ")?.split_once(':')?.0.parse::<u64>().ok());
        self.seqs.extend(seqs);
        self.is_owed |= !self.seqs.is_empty() || ended.stderr.contains("SPOOLED");
    }
}

type Records = BTreeMap<String, Vec<Seen>>;

/// A record, as far as it matters here.
#[derive(Debug)]
struct Seen {
    seq: u64,
    is_start: bool,
    finishes: Option<u64>,
}

/// How a program ended: without a code where it was killed.
struct Ended {
    code: Option<i32>,
    stderr: String,
}

fn program(env: &TestEnv, arguments: &[&str]) -> Command {
    env.command(OsStr::new(env!("CARGO_BIN_EXE_deploy-record")), arguments)
}

fn run_and_kill(mut command: Command, moment: Option<Duration>) -> Ended {
    let begin = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    if let Some(moment) = moment {
        while child.try_wait().expect("a child").is_none() && begin.elapsed() < moment {
            std::thread::sleep(Duration::from_micros(500));
        }
        child.kill().ok();
    }
    let output = child.wait_with_output().expect("an end");
    Ended { code: output.status.code(), stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().expect("no program runs for so long")
}

/// Numbers drawn from a seed (SplitMix64).
struct Draws {
    seed: u64,
    state: AtomicU64,
}

impl Draws {
    fn new() -> Draws {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).expect("random bytes");
        let given = std::env::var(SEED).ok().map(|seed| seed.parse().expect("a number"));
        let seed = given.unwrap_or_else(|| u64::from_le_bytes(bytes) >> 16);
        println!("{SEED}={seed}");
        Draws { seed, state: AtomicU64::new(seed) }
    }

    fn below(&self, limit: u64) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15_u64;
        let mut mixed = self.state.fetch_add(step, Ordering::SeqCst).wrapping_add(step);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
