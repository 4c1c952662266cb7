//! What is new in a commit since another one.

use super::{RepoError, Step};
use crate::core::record::{Changes, Line, MergeRequest};
use git2::{DiffOptions, ErrorCode, FileMode, ObjectType, Oid, Repository, TreeWalkMode, TreeWalkResult};
use regex::Regex;
use std::collections::HashSet;
use std::sync::LazyLock;

const MOST_NAMES: usize = 100;
/// Longer tickets are none, and longer names are cut, in characters: a record has to hold a hundred of each.
const LONGEST_NAME: usize = 200;
const MOST_MERGE_REQUESTS: usize = 200;

/// Words with a number that look like tickets and are standards.
const NO_TICKETS: &[&str] = &[
    "UTF", "SHA", "ISO", "RFC", "CVE", "CWE", "TLS", "HTTP", "IPV", "MD", "AES", "RSA", "UTC", "GMT", "ISBN", "BASE", "WIN",
    "X",
];

/// The pattern for tickets, where the configuration has none: `PAY-7`.
pub fn default_ticket_pattern() -> &'static Regex {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\b[A-Z][A-Z0-9]+-[1-9][0-9]*\b").unwrap_or_else(|_| unreachable!("a constant, tried by a test"))
    });
    &PATTERN
}

/// What came of a comparison of two commits.
#[derive(Debug, Clone, Default)]
pub struct Compared {
    /// What goes into the record.
    pub changes: Changes,
    /// The files that differ, relative to the top, in the tree's order: of one that got another name both names. `None` where one
    /// of the two commits is not here.
    pub paths: Option<Vec<String>>,
    /// The addresses of the authors of what is new, each once.
    pub addresses: Vec<String>,
    /// Whether the one commit is known to come after the other, and whether it may come before it.
    pub descends: bool,
    /// As `descends`, the other way round.
    pub may_precede: bool,
    /// The commits of the branch itself, the oldest first, where they were asked for and can be told.
    pub steps: Option<Vec<Step>>,
}

pub(super) fn between(
    repository: &Repository,
    previous: Oid,
    to: Oid,
    tickets: &Regex,
    path: Option<&str>,
) -> Result<Compared, RepoError> {
    let paths = paths(repository, previous, to)?;
    let files = paths.as_ref().and_then(|paths| u64::try_from(paths.len()).ok());
    let changes = Changes { files, ..Changes::default() };
    let mut compared = Compared { changes, paths, may_precede: true, ..Compared::default() };
    let changes = &mut compared.changes;
    if changes.files.is_none() || repository.find_commit(previous).is_err() {
        changes.incomplete = Some(true);
        return Ok(compared);
    }
    compared.descends = previous == to || repository.graph_descendant_of(to, previous)?;
    let mut addresses = HashSet::new();
    let mut walk = repository.revwalk()?;
    walk.push(to)?;
    walk.hide(previous)?;
    let mut count = 0;
    for id in walk {
        let commit = repository.find_commit(id?)?;
        count += 1;
        if lacks_parents(&commit) {
            changes.incomplete = Some(true);
        }
        let message = String::from_utf8_lossy(commit.message_raw_bytes()).into_owned();
        let author = commit.author();
        add(&mut changes.authors, &String::from_utf8_lossy(author.name_bytes()));
        // whoever commits another's work could have changed it
        for person in [&author, &commit.committer()] {
            addresses.insert(String::from_utf8_lossy(person.email_bytes()).to_lowercase());
        }
        let found = tickets.find_iter(&message).map(|found| found.as_str());
        for ticket in found.filter(|ticket| is_ticket(ticket) && ticket.len() <= LONGEST_NAME) {
            add(&mut changes.tickets, ticket);
        }
        add_merge_requests(&mut changes.merge_requests, &message, path);
    }
    if changes.incomplete != Some(true) {
        changes.commits = Some(count);
        compared.may_precede = repository.graph_descendant_of(previous, to)?;
    }
    let changes = &mut compared.changes;
    changes.merge_requests.sort_by_key(|request| request.iid);
    compared.addresses = addresses.into_iter().collect();
    compared.addresses.sort();
    Ok(compared)
}

/// The files that differ; `None` where one of the two commits is not here.
pub(super) fn paths(repository: &Repository, previous: Oid, to: Oid) -> Result<Option<Vec<String>>, RepoError> {
    let tree = |id| match repository.find_commit(id).and_then(|commit| commit.tree()) {
        Ok(tree) => Ok(Some(tree)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let (Some(previous), Some(to)) = (tree(previous)?, tree(to)?) else { return Ok(None) };
    let diff = repository.diff_tree_to_tree(Some(&previous), Some(&to), Some(DiffOptions::new().skip_binary_check(true)));
    // without a search for new names, one that got another name is two: one that is gone and one that is new
    let path = |delta: git2::DiffDelta| {
        let path = delta.new_file().path_bytes().or(delta.old_file().path_bytes());
        let path = String::from_utf8_lossy(path.unwrap_or_default()).into_owned();
        let is_folder = [delta.new_file().mode(), delta.old_file().mode()].into_iter().any(stands_for_folder);
        if is_folder { format!("{path}/") } else { path }
    };
    let mut paths: Vec<_> = diff?.deltas().map(path).collect();
    paths.dedup_by(|one, other| one.trim_end_matches('/') == other.trim_end_matches('/') && one.len() <= other.len());
    Ok(Some(paths))
}

/// Whether an entry may have all that is below it elsewhere: a submodule, or a link. It is named as a folder is, with a slash at its
/// end, so that patterns for what is below it match.
fn stands_for_folder(mode: FileMode) -> bool {
    matches!(mode, FileMode::Commit | FileMode::Link)
}

/// All files of a commit; `None` where it is not here.
pub(super) fn all(repository: &Repository, commit: Oid) -> Result<Option<Vec<String>>, RepoError> {
    let Ok(commit) = repository.find_commit(commit) else { return Ok(None) };
    let mut paths = Vec::new();
    commit.tree()?.walk(TreeWalkMode::PreOrder, |folder, entry| {
        if entry.kind() != Some(ObjectType::Tree) {
            let is_folder = [i32::from(FileMode::Commit), i32::from(FileMode::Link)].contains(&entry.filemode());
            let end = if is_folder { "/" } else { "" };
            paths.push(format!("{folder}{}{end}", String::from_utf8_lossy(entry.name_bytes())));
        }
        TreeWalkResult::Ok
    })?;
    Ok(Some(paths))
}

/// Whether a shallow clone cuts the history off here: the commit names parents that are not seen.
pub(super) fn lacks_parents(commit: &git2::Commit) -> bool {
    let header = String::from_utf8_lossy(commit.raw_header_bytes());
    header.lines().filter(|line| line.starts_with("parent ")).count() != commit.parent_count()
}

fn is_ticket(text: &str) -> bool {
    let word = text.split('-').next().unwrap_or_default();
    !NO_TICKETS.contains(&word)
}

fn add(list: &mut Vec<Line>, text: &str) {
    let text: String = text.chars().take(LONGEST_NAME).collect();
    let Some(line) = Line::clean(&text) else { return };
    if list.len() < MOST_NAMES && !list.contains(&line) {
        list.push(line);
    }
}

/// The merge requests that a merge or squash commit names: `See merge request grp/app!12`.
fn add_merge_requests(list: &mut Vec<MergeRequest>, message: &str, path: Option<&str>) {
    for line in message.lines() {
        let Some((of, iid)) = line.strip_prefix("See merge request ").and_then(|rest| rest.rsplit_once('!')) else { continue };
        let is_ours = of.is_empty() || path.is_none_or(|path| path == of);
        let Ok(iid) = iid.trim().parse::<u64>() else { continue };
        let is_new = !list.iter().any(|known| known.iid == iid);
        if is_ours && is_new && iid < 1 << 53 && list.len() < MOST_MERGE_REQUESTS {
            list.push(MergeRequest {
                iid,
                author: None,
                merged_by: None,
                merged_at: None,
                approved_by: Vec::new(),
                newer: Default::default(),
            });
        }
    }
}
