//! Reading a remote log through its copy on this machine.

use super::cache::{Cache, Seen};
use super::log_store::{Depth, LogStore, Place};
use super::{StoreError, objects};
use crate::core::log::entry::RawEntry;
use crate::core::record::{CommitId, Record};
use crate::http::{Deadline, RemoteError};
use chrono::{DateTime, Utc};
use git2::Repository;
use std::cell::{Cell, RefCell};
use std::path::PathBuf;

/// How far back a rewound log is looked for where only the newest commits were asked for.
const MOST_STEPS: usize = 1000;

/// What a reader has to be told.
#[derive(Debug, Clone)]
pub enum Notice {
    /// The server can't be reached: this is the log as it was then.
    Offline {
        /// Why.
        reason: RemoteError,
        /// When it was fetched.
        as_of: DateTime<Utc>,
    },
    /// The server can't be reached, and there is no copy: this is what git fetched from that remote.
    Fetched {
        /// Why.
        reason: RemoteError,
        /// The remote's name.
        remote: String,
    },
    /// The log no longer holds the newest record that was seen.
    Rewound(Rewound),
    /// There is no copy, or it can't be used; nothing depends on it.
    NoCache(String),
}

/// A log that no longer holds the newest record that was seen on this machine.
#[derive(Debug, Clone)]
pub struct Rewound {
    /// What was seen.
    pub seen: Seen,
    /// What the log ends with now; `None` where its branch is gone.
    pub now: Option<CommitId>,
    /// Where the evidence is.
    pub folder: PathBuf,
}

/// Takes notices.
pub type OnNotice = Box<dyn Fn(&Notice)>;

/// What stands for a log whose server can't be reached.
struct Offline {
    reason: RemoteError,
    tip: CommitId,
    /// When it was fetched; git does not tell when it did.
    as_of: Option<DateTime<Utc>>,
}

/// How a log is read.
pub(super) struct Reader {
    on_notice: OnNotice,
    /// The repository at hand and the name of its remote, where git has fetched the log's branch.
    fetched: Option<(PathBuf, String)>,
    /// Why the server is not asked any more, and the tip that stands for what it has.
    offline: RefCell<Option<Offline>>,
    rewound: RefCell<Option<Rewound>>,
    is_compared: Cell<bool>,
    is_renewed: Cell<bool>,
    deadline: Cell<Option<Deadline>>,
}

impl Reader {
    pub(super) fn new(on_notice: OnNotice, fetched: Option<(PathBuf, String)>) -> Self {
        Reader {
            on_notice,
            fetched,
            offline: RefCell::new(None),
            rewound: RefCell::new(None),
            is_compared: Cell::new(false),
            is_renewed: Cell::new(false),
            deadline: Cell::new(None),
        }
    }

    pub(super) fn as_of(&self) -> Option<DateTime<Utc>> {
        self.offline.borrow().as_ref()?.as_of
    }

    /// Whether what can't be read says something about the log, and not about the copy.
    pub(super) fn is_fresh(&self) -> bool {
        self.is_renewed.get() && self.offline.borrow().is_none()
    }

    pub(super) fn rewound(&self) -> Option<Rewound> {
        self.rewound.borrow().clone()
    }

    fn tell(&self, notice: Notice) {
        if let Notice::Rewound(rewound) = &notice {
            self.rewound.replace(Some(rewound.clone()));
        }
        (self.on_notice)(&notice);
    }
}

impl LogStore {
    /// The tip as the server has it, else as it was when it could be reached.
    pub(super) fn fetch_to_read(
        &self,
        reader: &Reader,
        depth: Depth,
        deadline: Deadline,
    ) -> Result<Option<CommitId>, StoreError> {
        reader.deadline.set(Some(deadline));
        if let Some(Offline { reason, tip, .. }) = reader.offline.borrow().as_ref() {
            // what is only a clone's says itself what it lacks
            let is_here = self.place().cache.is_none() || self.reaches(tip, depth);
            return if is_here { Ok(Some(tip.clone())) } else { Err(self.unreachable(reason.clone())) };
        }
        let tip = match self.fetch_from_server(depth, deadline) {
            Ok(tip) => tip,
            Err(error) if self.mend(reader, &error) => return self.fetch_to_read(reader, depth, deadline),
            Err(error) if error.is_unreachable() => return self.go_offline(reader, depth, error),
            Err(error) => return Err(self.unreachable(error)),
        };
        if let Some(tip) = &tip
            && !self.reaches(tip, depth)
            && self.renew(reader)
        {
            return self.fetch_to_read(reader, depth, deadline);
        }
        self.note_fetched(tip.as_ref(), depth);
        self.compare(reader, tip.as_ref(), depth, Some(deadline));
        Ok(tip)
    }

    /// Makes the copy anew, or goes on without, where it is the copy that fails; gives whether to try again.
    fn mend(&self, reader: &Reader, error: &RemoteError) -> bool {
        let is_ours = matches!(error, RemoteError::Here(_) | RemoteError::Nonsense(_));
        if !is_ours || self.place().cache.is_none() {
            return false;
        }
        if !self.is_sound() && self.renew(reader) {
            return true;
        }
        matches!(error, RemoteError::Here(_)) && self.leave_cache(reader, &error.to_string())
    }

    /// Whether the copy's own commits can be read.
    fn is_sound(&self) -> bool {
        let tip = self.local_tip().ok().flatten().and_then(|tip| objects::commit_id(tip).ok());
        tip.is_some_and(|tip| self.reaches(&tip, Depth::All))
    }

    /// Throws the copy's objects away, once.
    pub(super) fn renew(&self, reader: &Reader) -> bool {
        if reader.is_renewed.replace(true) {
            return false;
        }
        let renewed = self.place().cache.as_ref().map(Cache::renew);
        match renewed {
            None => false,
            Some(Ok(repository)) => {
                self.place_mut().repository = repository;
                reader.tell(Notice::NoCache("the copy of the log on this machine was damaged, and is made anew".to_owned()));
                true
            }
            Some(Err(error)) => self.leave_cache(reader, error.message()),
        }
    }

    fn leave_cache(&self, reader: &Reader, problem: &str) -> bool {
        let Ok(scratch) = Place::scratch(&self.branch) else { return false };
        *self.place_mut() = scratch;
        reader.tell(Notice::NoCache(format!("no copy of the log is kept on this machine: {problem}")));
        true
    }

    /// After a failure to read: gets the objects again. Gives whether to try again.
    pub(super) fn read_anew(&self) -> bool {
        let Some(reader) = self.reader.as_ref().filter(|_| self.place().cache.is_some()) else { return false };
        if reader.offline.borrow().is_some() || !self.renew(reader) {
            return false;
        }
        let deadline = reader.deadline.get();
        deadline.is_some_and(|deadline| self.fetch_from_server(Depth::All, deadline).is_ok())
    }

    fn go_offline(&self, reader: &Reader, depth: Depth, reason: RemoteError) -> Result<Option<CommitId>, StoreError> {
        if let Some((tip, as_of)) = self.kept(depth) {
            reader.tell(Notice::Offline { reason: reason.clone(), as_of });
            reader.offline.replace(Some(Offline { reason, tip: tip.clone(), as_of: Some(as_of) }));
            self.compare(reader, Some(&tip), depth, None);
            return Ok(Some(tip));
        }
        let Some((directory, remote)) = &reader.fetched else { return Err(self.unreachable(reason)) };
        let Ok(repository) = Repository::open(directory) else { return Err(self.unreachable(reason)) };
        let reference = format!("refs/remotes/{remote}/{}", self.branch);
        *self.place_mut() = Place { repository, reference, cache: None, _scratch: None };
        reader.tell(Notice::Fetched { reason: reason.clone(), remote: remote.clone() });
        let Ok(Some(tip)) = self.local_tip() else { return Err(self.unreachable(reason)) };
        let tip = objects::commit_id(tip).map_err(|error| self.broken(&error))?;
        reader.offline.replace(Some(Offline { reason, tip: tip.clone(), as_of: None }));
        Ok(Some(tip))
    }

    /// The newest tip that the copy has with so much history, and when it was fetched.
    fn kept(&self, depth: Depth) -> Option<(CommitId, DateTime<Utc>)> {
        let place = self.place();
        let cache = place.cache.as_ref()?;
        let tip = place.repository.refname_to_id(&place.reference).ok().zip(cache.refreshed());
        let candidates = [tip, cache.whole(&place.repository)];
        let known = candidates.into_iter().flatten().filter_map(|(id, as_of)| Some((objects::commit_id(id).ok()?, as_of)));
        known.into_iter().find(|(tip, _)| self.reaches(tip, depth))
    }

    /// Whether so much history is at hand, as the commits themselves name it.
    fn reaches(&self, tip: &CommitId, depth: Depth) -> bool {
        let most = match depth {
            Depth::Commits(commits) => usize::try_from(commits).unwrap_or(1),
            Depth::All => usize::MAX,
        };
        let mut next = Some(tip.clone());
        for _ in 0..most {
            let Some(commit) = next else { return true };
            match self.parent(&commit) {
                Ok(parent) => next = parent,
                Err(_) => return false,
            }
        }
        true
    }

    fn note_fetched(&self, tip: Option<&CommitId>, depth: Depth) {
        let place = self.place();
        let (Some(cache), Some(tip)) = (&place.cache, tip) else { return };
        cache.note_refreshed();
        if depth == Depth::All {
            cache.note_whole(&place.repository, tip);
        }
    }

    /// Holds the tip against the newest record that was ever seen, once. Without a deadline nothing is fetched for it.
    fn compare(&self, reader: &Reader, tip: Option<&CommitId>, depth: Depth, deadline: Option<Deadline>) {
        if reader.is_compared.replace(true) {
            return;
        }
        let (seen, folder) = match &self.place().cache {
            Some(cache) => (cache.seen(), cache.folder().to_owned()),
            None => return,
        };
        let newest = tip.and_then(|tip| Some(Seen { commit: tip.clone(), seq: self.seq_of(tip)? }));
        let is_held = match (&seen, tip) {
            (None, _) => Some(true),
            (Some(seen), Some(tip)) => self.holds(tip, newest.as_ref(), seen, depth, deadline),
            (Some(_), None) => Some(false),
        };
        match (is_held, newest, seen) {
            (Some(true), Some(newest), _) => {
                let place = self.place();
                if let Some(cache) = &place.cache {
                    cache.note_seen(&place.repository, &newest);
                }
            }
            (Some(false), _, Some(seen)) => reader.tell(Notice::Rewound(Rewound { seen, now: tip.cloned(), folder })),
            _ => {}
        }
    }

    /// Whether the commit that was seen is this one or comes before it; `None` where that can't be told.
    fn holds(
        &self,
        tip: &CommitId,
        newest: Option<&Seen>,
        seen: &Seen,
        depth: Depth,
        deadline: Option<Deadline>,
    ) -> Option<bool> {
        if *tip == seen.commit {
            return Some(true);
        }
        let is_shorter = newest.is_some_and(|newest| newest.seq <= seen.seq);
        let most = if depth == Depth::All { usize::MAX } else { MOST_STEPS };
        let (mut commit, mut fetched) = (tip.clone(), 1);
        for _ in 0..most {
            let (parent, is_recovery) = loop {
                match self.link(&commit) {
                    Ok(link) => break link,
                    Err(_) if is_shorter && deadline.is_none() => return Some(false),
                    Err(_) => {
                        fetched = i32::saturating_mul(fetched, 4);
                        if fetched == i32::MAX || self.fetch_from_server(Depth::Commits(fetched), deadline?).is_err() {
                            return None;
                        }
                    }
                }
            };
            if is_recovery && self.accepts_the_loss(&commit, seen) {
                return Some(true);
            }
            match parent {
                None => return Some(false),
                Some(parent) if parent == seen.commit => return Some(true),
                Some(parent) => commit = parent,
            }
        }
        is_shorter.then_some(false)
    }

    /// Whether this recovery says that the record that was seen is lost. Whether it may say so shows when the log is verified.
    fn accepts_the_loss(&self, commit: &CommitId, seen: &Seen) -> bool {
        let record = self.entry(commit).and_then(|entry| Record::parse(&entry.record).ok());
        record.and_then(|record| record.lost).is_some_and(|lost| (lost.from..=lost.to).contains(&seen.seq))
    }

    fn seq_of(&self, tip: &CommitId) -> Option<u64> {
        Record::parse(&self.entry(tip)?.record).ok().map(|record| record.seq)
    }

    fn entry(&self, commit: &CommitId) -> Option<RawEntry> {
        objects::read(&self.place().repository, git2::Oid::from_str(commit.as_str()).ok()?).ok()
    }
}
