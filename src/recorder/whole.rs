//! Verifying a whole log: threads read its commits and look at each by itself, and what they find is put in order here.

use super::CLOCK_TOLERANCE;
use crate::core::checkpoint::Checkpoint;
use crate::core::log::entry::{self, Trust, Verified};
use crate::core::record::CommitId;
use crate::core::verify::{CommitCheck, Examined, Report, Verifier};
use crate::store::{History, LogReader, LogStore, StoreError};
use chrono::{DateTime, Utc};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// How many commits a thread looks at before it hands them over.
const PORTION: usize = 64;
/// How many portions of one thread may wait to be put in order, so that a long log does not fill the memory.
const WAITING: usize = 4;
const MOST_THREADS: usize = 8;

/// How a whole log is verified.
pub struct Verification<'a> {
    /// The log.
    pub store: &'a LogStore,
    /// Whom to believe.
    pub trust: &'a Trust,
    /// Checkpoints that were kept elsewhere.
    pub checkpoints: &'a [Checkpoint],
    /// Whether the signature of every commit is checked, not only that of the newest.
    pub deep: bool,
    /// What the time is.
    pub now: DateTime<Utc>,
    /// Told from time to time how many commits of how many are done.
    pub progress: &'a dyn Fn(usize, usize),
}

type Portion = Vec<Result<Examined, StoreError>>;

impl Verification<'_> {
    /// Verifies the log up to this commit.
    ///
    /// # Errors
    /// Where a part of it is not here, which says nothing about the log, or a thread can't read it.
    pub fn run(&self, tip: &CommitId) -> Result<Report, StoreError> {
        // libgit2 is set up for it before anything is read
        drop(self.store.reader()?);
        let History { commits, recoveries, broken } = self.store.history(tip);
        let broken = broken.map(|(commit, error)| Ok((commit, unless_missing(error)?))).transpose()?;
        let mut recoveries = self.verified(&recoveries);
        loop {
            let report = self.run_over(&commits, broken.as_ref(), &recoveries)?;
            let all = recoveries.len();
            // what is no link of the chain itself excuses nothing
            recoveries.retain(|recovery| report.recoveries.contains(recovery.commit()));
            if recoveries.len() == all {
                return Ok(report);
            }
        }
    }

    fn run_over(
        &self,
        commits: &[CommitId],
        broken: Option<&(CommitId, StoreError)>,
        recoveries: &[Verified],
    ) -> Result<Report, StoreError> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let readers = (0..threads).map(|_| self.store.reader()).collect::<Result<Vec<_>, _>>()?;
        let passed = recoveries.iter().flat_map(|recovery| {
            let record = recovery.record();
            record.skipped.iter().map(|commit| (commit.clone(), record.seq))
        });
        let mut verifier = Verifier::new(self.trust, self.checkpoints)
            .with_none_after(self.now + CLOCK_TOLERANCE)
            .passing_over(passed.collect());
        if let Some((commit, error)) = broken {
            verifier.add_broken(commit, format!("it can't be read, so nothing before it is known: {error}"));
        }
        thread::scope(|scope| {
            let start = |(first, reader)| {
                let (sender, receiver) = sync_channel(WAITING);
                let worker = Worker { reader, trust: self.trust, deep: self.deep, commits };
                scope.spawn(move || worker.run(first, threads, &sender));
                receiver
            };
            let receivers: Vec<_> = readers.into_iter().enumerate().map(start).collect();
            self.put_in_order(commits, &receivers, &mut verifier)
        })?;
        Ok(verifier.finish(self.checkpoints))
    }

    /// The recoveries that verify by themselves.
    fn verified(&self, recoveries: &[CommitId]) -> Vec<Verified> {
        let entries = recoveries.iter().filter_map(|commit| self.store.read(commit).ok());
        entries.filter_map(|entry| entry::inspect(&entry, self.trust, 0).verified_record().ok()).collect()
    }

    fn put_in_order(
        &self,
        commits: &[CommitId],
        receivers: &[Receiver<Portion>],
        verifier: &mut Verifier,
    ) -> Result<(), StoreError> {
        let mut done = 0;
        for (portion, receiver) in commits.chunks(PORTION).zip(receivers.iter().cycle()) {
            // a thread that panicked has hung up; its panic goes on where the threads are joined
            let Ok(examined) = receiver.recv() else { return Ok(()) };
            for (commit, examined) in portion.iter().zip(examined) {
                match examined {
                    Ok(examined) => _ = verifier.add(examined, &|| self.store.read_state(commit).ok()),
                    Err(error) => verifier.add_broken(commit, unless_missing(error)?.to_string()),
                }
            }
            done += portion.len();
            (self.progress)(done, commits.len());
        }
        Ok(())
    }
}

/// A thread that looks at every so many-th portion of the commits.
struct Worker<'a> {
    reader: LogReader,
    trust: &'a Trust,
    deep: bool,
    commits: &'a [CommitId],
}

impl Worker<'_> {
    fn run(&self, first: usize, step: usize, results: &SyncSender<Portion>) {
        let portions = self.commits.chunks(PORTION).enumerate().skip(first).step_by(step);
        for (number, commits) in portions {
            let places = number * PORTION + 1..;
            let portion = commits.iter().zip(places).map(|(commit, place)| self.examine(commit, place)).collect();
            if results.send(portion).is_err() {
                return; // nobody wants to know any more
            }
        }
    }

    fn examine(&self, commit: &CommitId, place: usize) -> Result<Examined, StoreError> {
        let entry = self.reader.read(commit)?;
        let is_checked = self.deep || Some(commit) == self.commits.last();
        let signature = if is_checked { CommitCheck::Check(self.reader.read_signature(commit)?) } else { CommitCheck::Skip };
        Ok(Examined::new(entry, signature, self.trust, place as u64))
    }
}

/// What is not here says nothing about the log.
fn unless_missing(error: StoreError) -> Result<StoreError, StoreError> {
    match error {
        StoreError::Missing { .. } => Err(error),
        error => Ok(error),
    }
}
