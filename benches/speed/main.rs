//! Speed and size against the design's bars: `cargo bench --locked --bench speed`.
//!
//! It builds a log of 100 and one of 100,000 records, measures whole processes of the program as it is released, in turns with
//! what git or ssh-keygen take for the same, and prints one row for each bar. Exit code 1: a bar is missed. It takes some five
//! minutes on two cores and needs git, ssh-keygen and 1 GB of space for temporary files. Nothing else should run meanwhile.
//! `cargo bench --locked --bench speed -- FOLDER RECORDS` only makes such a log and leaves it there.

mod big_log;
mod measure;
#[path = "../../tests/cli/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use all of it")]
mod support;

use big_log::Keys;
use measure::{Times, find, in_turns, time, time_and_memory};
use ssh_key::PrivateKey;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use support::env::TestEnv;
use support::git_server::GitServer;

const PROGRAM: &str = env!("CARGO_BIN_EXE_deploy-record");
const FEW: u64 = 100;
const MANY: u64 = 100_000;
const RUNS: usize = 15;
/// What is too slow for the whole log is measured on so many records.
const SAMPLE: usize = 200;
const WRITERS: usize = 20;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [folder, records] = &arguments[..] {
        return leave_log(Path::new(folder), records.parse().expect("a number of records"));
    }
    let (few, many) = (Site::with_log(FEW), Site::with_log(MANY));
    let mut table = Table::default();
    start(&few, &mut table);
    append(&few, &many, &mut table);
    reading(&many, &mut table);
    verification(&many, &mut table);
    writers(&few, &mut table);
    sizes(&many, &mut table);
    if table.is_missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Only makes a log, to look at or to profile: `log.git` and `allowed_signers` in this folder.
fn leave_log(folder: &Path, records: u64) -> ExitCode {
    let Site { server, trust, .. } = &Site::with_log(records);
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::copy(trust, folder.join("allowed_signers")).expect("a trust root");
    let (from, to) = (server.repository(), folder.join("log.git"));
    let copied = Command::new("git").args(["clone", "--quiet", "--mirror"]).arg(from).arg(to).status();
    ExitCode::from(u8::from(!copied.expect("git").success()))
}

/// A server with a log, and the checkout of a job that appends to it.
struct Site {
    server: GitServer,
    env: TestEnv,
    trust: String,
}

impl Site {
    fn with_log(records: u64) -> Site {
        eprintln!("building a log of {records} records …");
        let server = GitServer::https();
        let env = TestEnv::gitlab_job(&server);
        let chen = env.key("chen", "ed25519");
        let read = |path: &Path| PrivateKey::read_openssh_file(path).expect("a key");
        let keys = Keys::new(read(&env.beside("ci")), read(&chen));
        let trust = env.beside("allowed_signers").display().to_string();
        std::fs::write(&trust, keys.allowed_signers()).expect("a trust root");
        big_log::make(server.repository(), records, &keys);
        let repository = server.repository().display().to_string();
        // each record's objects as git packs those that come one by one
        env.git(&["-C", &repository, "repack", "-q", "-a", "-d", "-f"]);
        env.git(&["-C", &repository, "gc", "--quiet"]);
        Site { server, env, trust }
    }

    fn repository(&self) -> String {
        self.server.repository().display().to_string()
    }

    /// The program on the log as a file, as a reviewer has it: outside of any job.
    fn here(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).args(["--log", &self.repository(), "--allowed-signers", &self.trust]);
        command.env_clear().env("PATH", std::env::var("PATH").expect("PATH")).current_dir(self.env.beside("home"));
        command
    }

    fn append(&self, version: &str) -> Duration {
        time(&self.env, PROGRAM, &["record", "-e", "production", "--version", version, "--status", "success"])
    }

    /// What git itself needs for the same change: the newest commit, other files, a commit, a push.
    fn append_with_git(&self, run: usize) -> Duration {
        let clone = self.env.beside(&format!("clone-{run}"));
        let directory = clone.display().to_string();
        let url = self.server.project_url().replace("https://", &format!("https://oauth2:{}@", self.server.job_token()));
        let ca = format!("http.sslCAInfo={}", self.server.ca_file().expect("HTTPS").display());
        let identity = ["-c", "user.name=ci:main", "-c", "user.email=noreply@gitlab.example", "-c", &ca];
        let git = |arguments: &[&str]| time(&self.env, "git", &[&identity, arguments].concat());
        let mut took = git(&["clone", "--quiet", "--depth", "1", "--branch", "deploy-log", &url, &directory]);
        for file in ["README.md", "record.json", "record.json.sig", "state.json"] {
            let text = std::fs::read_to_string(clone.join(file)).expect("a file");
            std::fs::write(clone.join(file), format!("{text}{run}\n")).expect("a file");
        }
        took += git(&["-C", &directory, "commit", "--quiet", "--all", "-m", "The same change"]);
        took + git(&["-C", &directory, "push", "--quiet", "origin", &format!("HEAD:refs/heads/other-{run}")])
    }
}

/// The rows, printed as they come.
#[derive(Default)]
struct Table {
    is_missed: bool,
}

impl Table {
    fn row(&mut self, what: &str, bar: &str, is_held: bool, figure: &str) {
        self.is_missed |= !is_held;
        println!("| {what} | {bar} | {figure} | {} |", if is_held { "held" } else { "MISSED" });
    }
}

/// The static binary, which its two bars are about, where `benches/static-build` has built it; else the one that is measured.
fn static_binary() -> (PathBuf, &'static str) {
    let folder = Path::new(PROGRAM).ancestors().nth(2).expect("target/release/deploy-record");
    let built = folder.join("x86_64-unknown-linux-musl/release/deploy-record");
    if built.is_file() { (built, "static") } else { (PROGRAM.into(), "not the static one: run benches/static-build first") }
}

fn start(few: &Site, table: &mut Table) {
    println!("| what | bar | measured, median (least to most) | |\n| --- | --- | --- | --- |");
    let (binary, which) = static_binary();
    let binary = binary.display().to_string();
    let [own, git] = in_turns(RUNS * 3, |_| time(&few.env, &binary, &["--version"]), |_| time(&few.env, "git", &["--version"]));
    let ratio = own.median() / git.median();
    let figure = format!("{own}, {which}; `git --version` {git}; ratio {ratio:.2}");
    table.row("`--version`, whole process", "at most half of `git --version`", ratio <= 0.5, &figure);

    let mut own = Times::default();
    let log = few.env.beside("copy.git").display().to_string();
    few.env.git(&["clone", "--quiet", "--bare", &few.repository(), &log]);
    for run in 0..RUNS {
        let arguments = ["record", "-e", "production", "--status", "success", "--log", &log, "--allowed-signers", &few.trust];
        let key = few.env.beside("ci").display().to_string();
        let version = format!("own-{run}");
        let mut command =
            few.env.command(PROGRAM.as_ref(), &[&arguments[..], &["--version", &version, "--key", &key]].concat());
        for name in few.env.names().filter(|name| name.starts_with("CI_") || name.starts_with("GITLAB_")) {
            command.env_remove(name);
        }
        let begin = Instant::now();
        let output = command.output().expect("the program");
        own.add(begin.elapsed());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    table.row("one record, without network", "under 20 ms", own.median() < 20.0, &own.to_string());
}

fn append(few: &Site, many: &Site, table: &mut Table) {
    let [own, git] = in_turns(RUNS, |run| few.append(&format!("a-{run}")), |run| few.append_with_git(run));
    let ratio = own.median() / git.median();
    let what = "one append over HTTPS, against git's clone --depth 1, commit, push";
    table.row(what, "ratio under 0.6", ratio < 0.6, &format!("{own}; git {git}; ratio {ratio:.2}"));

    let [long, short] = in_turns(RUNS, |run| many.append(&format!("b-{run}")), |run| few.append(&format!("b-{run}")));
    let ratio = long.median() / short.median();
    let figure = format!("{long}; on 100 records {short}; ratio {ratio:.2}");
    table.row("append on 100,000 records against 100", "ratio under 1.2", ratio < 1.2, &figure);

    let [many, few] = [many, few].map(|site| {
        let before = site.server.requests().len();
        site.append("requests");
        let requests = &site.server.requests()[before..];
        (requests.iter().filter_map(|request| request.objects).sum::<u32>(), requests.len())
    });
    let figure = format!("{} objects in {} requests; {} in {}", many.0, many.1, few.0, few.1);
    let is_same = many == few && many.0 > 0;
    table.row("objects fetched, requests of one append, 100,000 and 100 records", "the same", is_same, &figure);
}

fn reading(many: &Site, table: &mut Table) {
    let newest = (MANY - 5).to_string();
    for arguments in [&["status"][..], &["log", "--last", "3"], &["show", &newest]] {
        let mut times = Times::default();
        for _ in 0..RUNS {
            let begin = Instant::now();
            let output = many.here(arguments).output().expect("the program");
            times.add(begin.elapsed());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let what = format!("`{}` on 100,000 records", arguments.join(" "));
        table.row(&what, "under 50 ms", times.median() < 50.0, &times.to_string());
    }
}

fn verification(many: &Site, table: &mut Table) {
    let mut own = Times::default();
    let mut most = 0.0_f64;
    let mut git = Times::default();
    let signers = format!("gpg.ssh.allowedSignersFile={}", many.trust);
    let (repository, sample) = (many.repository(), SAMPLE.to_string());
    let log = ["-C", &repository, "-c", &signers, "log", "--format=%G?", "-n", &sample, "deploy-log"];
    for _ in 0..3 {
        let (took, memory) = time_and_memory(many.here(&["verify"]));
        own.add(took);
        most = most.max(memory);
        git.add(time(&many.env, "git", &log));
    }
    table.row("`verify` of 100,000 records", "under 5 s", own.median() < 5000.0, &own.to_string());
    table.row("its memory at most", "under 150 MB", most < 150.0, &format!("{most:.0} MB"));
    let [own, git] = [own.median() / MANY as f64, git.median() / SAMPLE as f64];
    let figure = format!("{own:.3} ms; `git log --format=%G?` {git:.1} ms; {:.0} times faster", git / own);
    table.row("a record's check, against git's of a signature", "100 times faster", git / own >= 100.0, &figure);

    let ours = ssh_keygen(many).median();
    let figure = format!("{own:.3} ms; `ssh-keygen -Y verify` {ours:.1} ms; {:.0} times faster", ours / own);
    table.row("the same, against ssh-keygen", "–", true, &figure);
}

fn ssh_keygen(many: &Site) -> Times {
    let mut times = Times::default();
    for back in 0..SAMPLE / 10 {
        let read = |name: &str| {
            let path = many.env.beside(name).display().to_string();
            let bytes = many.env.git(&["-C", &many.repository(), "cat-file", "blob", &format!("deploy-log~{back}:{name}")]);
            std::fs::write(&path, bytes + "\n").expect("a file");
            path
        };
        let (record, signature) = (read("record.json"), read("record.json.sig"));
        let mut command = many.env.command(find("ssh-keygen").as_os_str(), &["-Y", "verify", "-n", "deploy-record"]);
        command.args(["-I", "ci:main", "-f", &many.trust, "-s", &signature]);
        let begin = Instant::now();
        let output = command.stdin(std::fs::File::open(record).expect("a record")).output().expect("ssh-keygen");
        times.add(begin.elapsed());
        // a record of the other signer takes as long
        assert!(output.status.success() || back > 0, "{}", String::from_utf8_lossy(&output.stderr));
    }
    times
}

fn writers(few: &Site, table: &mut Table) {
    let count =
        || few.env.git(&["-C", &few.repository(), "rev-list", "--count", "deploy-log"]).parse::<usize>().expect("a number");
    let before = count();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || few.append(&format!("w-{writer}")));
        }
    });
    let took = begin.elapsed().as_secs_f64();
    let added = count() - before;
    let verified = few.here(&["verify"]).output().expect("the program");
    let is_sound = added == WRITERS && verified.status.success();
    let figure =
        format!("{took:.1} s; {added} records, {}", if verified.status.success() { "one chain" } else { "NOT VERIFIED" });
    table.row("20 writers at once", "20 records, one chain, under 30 s", is_sound && took < 30.0, &figure);
}

fn sizes(many: &Site, table: &mut Table) {
    many.env.git(&["-C", &many.repository(), "gc", "--quiet"]);
    let size = size_of(&many.server.repository().join("objects"));
    let each = size / MANY;
    table.row(
        "growth of the repository, a record",
        "under 2 kB",
        each < 2000,
        &format!("{each} bytes; {} MB in all", size / 1_000_000),
    );
    let (binary, which) = static_binary();
    let binary = std::fs::metadata(binary).expect("the program").len();
    let figure = format!("{:.1} MB, {which}", binary as f64 / 1_000_000.0);
    table.row("binary, stripped", "under 10 MB", binary < 10_000_000, &figure);
}

fn size_of(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| match entry.metadata().expect("a file") {
            metadata if metadata.is_dir() => size_of(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}
