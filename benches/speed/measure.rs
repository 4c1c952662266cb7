//! Times of whole processes, and what they come to.

use crate::support::env::TestEnv;
use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The times of several runs, in milliseconds.
#[derive(Default)]
pub struct Times(Vec<f64>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1000.0);
    }

    /// The median.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(0.0, f64::max);
        write!(formatter, "{:.1} ms ({least:.1} to {most:.1})", self.median())
    }
}

/// Runs both sides in turns, so that what else the machine does meets both.
pub fn in_turns(runs: usize, mut one: impl FnMut(usize) -> Duration, mut other: impl FnMut(usize) -> Duration) -> [Times; 2] {
    let mut times = [Times::default(), Times::default()];
    for run in 0..runs {
        times[0].add(one(run));
        times[1].add(other(run));
    }
    times
}

/// Where a program is: one that is named without its place is started in another, far slower way.
pub fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{program} is missing: install it"))
}

/// How long a command takes, which has to succeed.
pub fn time(env: &TestEnv, program: &str, arguments: &[&str]) -> Duration {
    let mut command = env.command(find(program).as_os_str(), arguments);
    let begin = Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("can't run {program}: {error}"));
    let took = begin.elapsed();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

/// How long a command takes, and the most memory that it had, in MB.
pub fn time_and_memory(mut command: Command) -> (Duration, f64) {
    let begin = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a process");
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0.0;
    let exit = loop {
        // the highest mark of the kernel: the last look before the end is what counts
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        most = mark.map_or(most, |mark| mark / 1024.0);
        match child.try_wait().expect("a process") {
            Some(exit) => break exit,
            None => sleep(Duration::from_millis(2)),
        }
    };
    assert!(exit.success(), "{command:?}: {exit}");
    (begin.elapsed(), most)
}
