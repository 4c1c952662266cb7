//! Log commits as git objects: reading and writing them.

use super::memory;
use crate::core::log::entry::{CommitSignature, File, RawEntry};
use crate::core::log::message;
use crate::core::record::values::hex;
use crate::core::record::{CommitId, LARGEST_RECORD};
use crate::core::seal::LARGEST_SIGNATURE;
use git2::{ErrorCode, ObjectType, Odb, OdbObject, Oid, Repository, Signature, Time};

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

/// The most that a log commit's tree may hold, in bytes; five files take some 200.
const LARGEST_TREE: usize = 64 * 1024;

/// The bits of a tree entry's mode that tell files from folders, links and submodules (gitformat-index(5)).
const FILE_TYPE: u32 = 0o170_000;
const REGULAR_FILE: u32 = 0o100_000;

/// The most that any commit on the branch may hold, in bytes, so that it can be told who its parents are.
const LARGEST_FOREIGN_COMMIT: usize = 64 * 1024 * 1024;

/// What is read in one piece without asking for its size: all that a log usually has. What is larger, libgit2 does not keep for
/// later (`GIT_PACK_CACHE_SIZE_LIMIT`), and loses where it can't load what was made from it.
const USUAL: usize = LARGEST_RECORD + 1;

/// The most that anything takes in one piece that is made on the way to an object.
const LARGEST_PIECE: usize = LARGEST_FOREIGN_COMMIT + 1;

pub(super) fn read(repository: &Repository, id: Oid) -> Result<RawEntry, git2::Error> {
    let odb = repository.odb()?;
    let commit = commit(&odb, id, LARGEST_FOREIGN_COMMIT)?;
    let (header, message) = parts(commit.data());
    let mut entry = RawEntry {
        commit: commit_id(id)?,
        parents: parents(header)?,
        files: Vec::new(),
        message: String::new(),
        record_size: 0,
        record: Vec::new(),
        signature: Vec::new(),
    };
    if commit.len() > LARGEST_COMMIT {
        // none of the log's: only its parents count, so that a recovery can go on over it
        return Ok(entry);
    }
    entry.message = String::from_utf8_lossy(message).into_owned();
    entry.files = files(&odb, header)?;
    if let Some(record) = blob(&odb, entry.file("record.json"), LARGEST_RECORD)? {
        entry.record_size = record.size();
        entry.record = record.bytes();
    }
    if let Some(signature) = blob(&odb, entry.file("record.json.sig"), LARGEST_SIGNATURE)? {
        entry.signature = signature.bytes();
    }
    Ok(entry)
}

/// The bytes of a commit's `state.json`; empty where there is none, or it is larger than any state.
pub(super) fn state(repository: &Repository, id: Oid) -> Result<Vec<u8>, git2::Error> {
    let odb = repository.odb()?;
    let files = files(&odb, parts(commit(&odb, id, LARGEST_COMMIT)?.data()).0)?;
    let state = blob(&odb, files.iter().find(|file| file.name == "state.json"), LARGEST_STATE)?;
    Ok(state.map(Content::bytes).unwrap_or_default())
}

/// The first parent as the commit names it (`None` for the first commit), and whether its subject is a recovery's. The rest of
/// the commit is not looked at.
pub(super) fn link(repository: &Repository, id: Oid) -> Result<(Option<CommitId>, bool), git2::Error> {
    let odb = repository.odb()?;
    let commit = commit(&odb, id, LARGEST_FOREIGN_COMMIT)?;
    let (header, message) = parts(commit.data());
    Ok((parents(header)?.into_iter().next(), message::is_recovery(message)))
}

/// What is in the repository under an id.
enum Content<'a> {
    Loaded(OdbObject<'a>),
    /// More than was asked for: its kind and size.
    TooLarge(ObjectType, usize),
}

impl Content<'_> {
    fn kind(&self) -> ObjectType {
        match self {
            Content::Loaded(object) => object.kind(),
            Content::TooLarge(kind, _) => *kind,
        }
    }

    fn size(&self) -> usize {
        match self {
            Content::Loaded(object) => object.len(),
            Content::TooLarge(_, size) => *size,
        }
    }

    /// Its bytes; none where it is too large.
    fn bytes(self) -> Vec<u8> {
        match self {
            Content::Loaded(object) => object.data().to_vec(),
            Content::TooLarge(..) => Vec::new(),
        }
    }
}

/// An object; what is larger than `most`, and much of it, is not even loaded.
fn load<'a>(odb: &'a Odb, id: Oid, most: usize) -> Result<Content<'a>, git2::Error> {
    if memory::is_limited()
        && let Some(object) = memory::within(USUAL, || odb.read(id))
    {
        let object = object?;
        let is_too_large = object.len() > most;
        return Ok(if is_too_large { Content::TooLarge(object.kind(), object.len()) } else { Content::Loaded(object) });
    }
    let (size, kind) = odb.read_header(id)?;
    if size > most {
        return Ok(Content::TooLarge(kind, size));
    }
    let object = memory::within(LARGEST_PIECE, || odb.read(id));
    object
        .unwrap_or_else(|| Err(git2::Error::from_str(&format!("{id} is kept as a difference from what is too large"))))
        .map(Content::Loaded)
}

/// A commit of at most so many bytes.
fn commit<'a>(odb: &'a Odb, id: Oid, most: usize) -> Result<OdbObject<'a>, git2::Error> {
    match load(odb, id, most)? {
        content if content.kind() != ObjectType::Commit => Err(git2::Error::from_str(&format!("{id} is no commit"))),
        Content::Loaded(commit) => Ok(commit),
        Content::TooLarge(_, size) => {
            Err(git2::Error::from_str(&format!("the commit is {size} bytes long; the most is {most}")))
        }
    }
}

/// Header and message of a commit (gitformat-commit: an empty line stands between them).
fn parts(commit: &[u8]) -> (&[u8], &[u8]) {
    let end = commit.windows(2).position(|bytes| bytes == b"\n\n").unwrap_or(commit.len());
    (&commit[..end], commit.get(end + 2..).unwrap_or_default())
}

/// The values of a commit's header that have this name.
fn values<'a>(header: &'a [u8], name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    header.split(|&byte| byte == b'\n').filter_map(move |line| line.strip_prefix(name.as_bytes())?.strip_prefix(b" "))
}

/// The parents as the commit's header names them: libgit2 hides those that a shallow clone does not have.
fn parents(header: &[u8]) -> Result<Vec<CommitId>, git2::Error> {
    let ids = values(header, "parent").map(|id| CommitId::new(String::from_utf8_lossy(id)));
    ids.collect::<Result<_, _>>().map_err(|problem| git2::Error::from_str(&problem))
}

/// The files that a commit's tree names.
fn files(odb: &Odb, header: &[u8]) -> Result<Vec<File>, git2::Error> {
    let tree = values(header, "tree").next().ok_or_else(|| git2::Error::from_str("the commit names no tree"))?;
    let id = Oid::from_str(&String::from_utf8_lossy(tree))?;
    let tree = match load(odb, id, LARGEST_TREE)? {
        Content::Loaded(tree) if tree.kind() == ObjectType::Tree => tree,
        other => {
            let (kind, size) = (other.kind(), other.size());
            return Err(git2::Error::from_str(&format!("the commit's tree {id} is a {kind} of {size} bytes")));
        }
    };
    let mut rest = tree.data();
    let mut files = Vec::new();
    while !rest.is_empty() {
        let (file, after) = next_file(rest).ok_or_else(|| git2::Error::from_str(&format!("the tree {id} is damaged")))?;
        files.push(file);
        rest = after;
    }
    Ok(files)
}

/// The first entry of a tree's bytes (`MODE NAME`, a zero byte, the id's bytes), and what follows it.
fn next_file(tree: &[u8]) -> Option<(File, &[u8])> {
    let (mode, rest) = tree.split_at(tree.iter().position(|&byte| byte == b' ')?);
    let (name, rest) = rest[1..].split_at(rest[1..].iter().position(|&byte| byte == 0)?);
    let (id, rest) = rest[1..].split_at_checked(Oid::ZERO_SHA1.as_bytes().len())?;
    let mode = i32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok()?.cast_unsigned();
    Some((File { name: String::from_utf8_lossy(name).into_owned(), mode, blob: hex(id) }, rest))
}

/// A file's content, where it is there and is a file.
fn blob<'a>(odb: &'a Odb, file: Option<&File>, most: usize) -> Result<Option<Content<'a>>, git2::Error> {
    let Some(file) = file.filter(|file| file.mode & FILE_TYPE == REGULAR_FILE) else { return Ok(None) };
    let content = load(odb, Oid::from_str(&file.blob)?, most)?;
    Ok((content.kind() == ObjectType::Blob).then_some(content))
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
