//! Log commits as git objects: reading and writing them.

use crate::core::log::entry::{CommitSignature, File, RawEntry};
use crate::core::log::message;
use crate::core::record::{CommitId, LARGEST_RECORD};
use crate::core::seal::LARGEST_SIGNATURE;
use git2::{Commit, ErrorCode, ObjectType, Odb, Oid, Repository, Signature, Time, Tree};

/// What a new log commit is made of.
#[derive(Debug, Clone)]
pub struct NewCommit<'a> {
    /// Name and content of its files.
    pub files: Vec<(&'static str, &'a [u8])>,
    /// Its message.
    pub message: &'a str,
    /// Author and committer: the principal.
    pub name: &'a str,
    /// Their address.
    pub email: &'a str,
    /// Seconds since 1970, UTC; never before the parent's, since servers then walk the whole history.
    pub time: i64,
}

/// Signs the bytes of a commit with namespace `git`; gives the armored signature.
pub type CommitSigner<'a> = dyn Fn(&[u8]) -> anyhow::Result<String> + 'a;

/// The most that a log commit, without its files, may hold, in bytes.
const LARGEST_COMMIT: usize = 64 * 1024;

/// The most that a `state.json` may hold, in bytes: two hundred places have some 100 kB.
const LARGEST_STATE: usize = 16 * 1024 * 1024;

/// The most that any commit on the branch may hold, in bytes, so that it can be told who its parents are.
const LARGEST_FOREIGN_COMMIT: usize = 64 * 1024 * 1024;

pub(super) fn read(repository: &Repository, id: Oid) -> Result<RawEntry, git2::Error> {
    if check_size(&repository.odb()?, id, LARGEST_FOREIGN_COMMIT)? > LARGEST_COMMIT {
        return foreign(repository, id);
    }
    let commit = repository.find_commit(id)?;
    let tree = commit.tree()?;
    let files = tree.iter().map(|entry| File {
        name: String::from_utf8_lossy(entry.name_bytes()).into_owned(),
        mode: entry.filemode().cast_unsigned(),
        blob: entry.id().to_string(),
    });
    let odb = repository.odb()?;
    let record = Blob::named(&odb, &tree, "record.json")?;
    let signature = Blob::named(&odb, &tree, "record.json.sig")?;
    Ok(RawEntry {
        commit: commit_id(id)?,
        parents: parents(commit.raw_header_bytes())?,
        files: files.collect(),
        message: String::from_utf8_lossy(commit.message_raw_bytes()).into_owned(),
        record_size: record.as_ref().map_or(0, |record| record.size),
        record: record.map_or(Ok(Vec::new()), |record| record.read(LARGEST_RECORD))?,
        signature: signature.map_or(Ok(Vec::new()), |signature| signature.read(LARGEST_SIGNATURE))?,
    })
}

/// A commit that is larger than any of the log's: only its parents are looked at, so that a recovery can go on over it.
fn foreign(repository: &Repository, id: Oid) -> Result<RawEntry, git2::Error> {
    let parents = parents(repository.odb()?.read(id)?.data())?;
    let commit = commit_id(id)?;
    Ok(RawEntry {
        commit,
        parents,
        files: Vec::new(),
        message: String::new(),
        record_size: 0,
        record: Vec::new(),
        signature: Vec::new(),
    })
}

/// The bytes of a commit's `state.json`; empty where there is none, or it is larger than any state.
pub(super) fn state(repository: &Repository, id: Oid) -> Result<Vec<u8>, git2::Error> {
    let odb = repository.odb()?;
    let state = Blob::named(&odb, &find_commit(repository, id)?.tree()?, "state.json")?;
    state.map_or(Ok(Vec::new()), |state| state.read(LARGEST_STATE))
}

/// The first parent as the commit names it (`None` for the first commit), and whether its subject is a recovery's. The rest of
/// the commit is not looked at.
pub(super) fn link(repository: &Repository, id: Oid) -> Result<(Option<CommitId>, bool), git2::Error> {
    let odb = repository.odb()?;
    check_size(&odb, id, LARGEST_FOREIGN_COMMIT)?;
    let commit = odb.read(id)?;
    let message = commit.data().windows(2).position(|bytes| bytes == b"\n\n").map(|end| &commit.data()[end + 2..]);
    let is_recovery = message.is_some_and(message::is_recovery);
    Ok((parents(commit.data())?.into_iter().next(), is_recovery))
}

/// A commit; one that is far larger than any of the log's is not even loaded.
fn find_commit(repository: &Repository, id: Oid) -> Result<Commit<'_>, git2::Error> {
    check_size(&repository.odb()?, id, LARGEST_COMMIT)?;
    repository.find_commit(id)
}

/// The size of a commit, which is at most this.
fn check_size(odb: &Odb, id: Oid, most: usize) -> Result<usize, git2::Error> {
    let (size, kind) = odb.read_header(id)?;
    if kind != ObjectType::Commit {
        return Err(git2::Error::from_str(&format!("{id} is no commit")));
    }
    if size > most {
        return Err(git2::Error::from_str(&format!("the commit is {size} bytes long; the most is {most}")));
    }
    Ok(size)
}

/// The parents as the commit's header names them: libgit2 hides those that a shallow clone does not have.
fn parents(header: &[u8]) -> Result<Vec<CommitId>, git2::Error> {
    let lines = header.split(|&byte| byte == b'\n').take_while(|line| !line.is_empty());
    let ids = lines.filter_map(|line| line.strip_prefix(b"parent "));
    ids.map(|id| CommitId::new(String::from_utf8_lossy(id)).map_err(|problem| git2::Error::from_str(&problem))).collect()
}

/// One file's content that has not been loaded.
struct Blob<'a> {
    odb: &'a Odb<'a>,
    id: Oid,
    size: usize,
}

impl<'a> Blob<'a> {
    /// The file of this name; `None` where there is none, or it is no file.
    fn named(odb: &'a Odb<'a>, tree: &Tree, name: &str) -> Result<Option<Self>, git2::Error> {
        let Some(entry) = tree.get_name(name).filter(|entry| entry.kind() == Some(ObjectType::Blob)) else {
            return Ok(None);
        };
        let (size, kind) = odb.read_header(entry.id())?;
        Ok((kind == ObjectType::Blob).then_some(Blob { odb, id: entry.id(), size }))
    }

    /// Its bytes; empty where it is larger than `most`, and then not even loaded.
    fn read(&self, most: usize) -> Result<Vec<u8>, git2::Error> {
        if self.size > most {
            return Ok(Vec::new());
        }
        Ok(self.odb.read(self.id)?.data().to_vec())
    }
}

pub(super) fn signature(repository: &Repository, id: Oid) -> Result<Option<CommitSignature>, git2::Error> {
    match repository.extract_signature(&id, None) {
        Ok((armored, payload)) => Ok(Some(CommitSignature { armored: armored.to_vec(), payload: payload.to_vec() })),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn write(repository: &Repository, new: &NewCommit, parent: Option<Oid>, sign: &CommitSigner) -> anyhow::Result<Oid> {
    let mut tree = repository.treebuilder(None)?;
    for (name, content) in &new.files {
        tree.insert(name, repository.blob(content)?, 0o100_644)?;
    }
    let tree = repository.find_tree(tree.write()?)?;
    let parent = parent.map(|parent| repository.find_commit(parent)).transpose()?;
    let time = parent.as_ref().map_or(new.time, |parent| new.time.max(parent.time().seconds()));
    let person = Signature::new(new.name, new.email, &Time::new(time, 0))?;
    let parents: Vec<_> = parent.iter().collect();
    let buffer = repository.commit_create_buffer(&person, &person, new.message, &tree, &parents)?;
    let text = buffer.as_str().map_err(|_| anyhow::anyhow!("the commit is not UTF-8"))?;
    let signature = sign(text.as_bytes())?;
    Ok(repository.commit_signed(text, signature.trim_end(), Some("gpgsig"))?)
}

pub(super) fn commit_id(id: Oid) -> Result<CommitId, git2::Error> {
    CommitId::new(id.to_string()).map_err(|problem| git2::Error::from_str(&problem))
}
