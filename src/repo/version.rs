//! What people call a commit: a tag, or the way `git describe` puts it.

use git2::{DescribeOptions, ObjectType, Oid, Repository};
use std::cmp::Ordering;

/// A tag at this very commit, else `describe`, else the first eight digits. A shallow clone may hide nearer tags, so there
/// `describe` is not asked.
pub(super) fn of(repository: &Repository, commit: Oid) -> Option<String> {
    tag_at(repository, commit).or_else(|| describe(repository, commit)).or_else(|| Some(commit.to_string()[..8].to_owned()))
}

/// The tag at a commit: an annotated one before a lightweight one, then the highest version.
fn tag_at(repository: &Repository, commit: Oid) -> Option<String> {
    let mut tags: Vec<(bool, String)> = Vec::new();
    for reference in repository.references_glob("refs/tags/*").ok()?.flatten() {
        let is_annotated = reference.target().is_some_and(|id| repository.find_object(id, Some(ObjectType::Tag)).is_ok());
        if reference.peel_to_commit().is_ok_and(|tagged| tagged.id() == commit) {
            tags.push((is_annotated, String::from_utf8_lossy(reference.shorthand_bytes()).into_owned()));
        }
    }
    let order = |one: &(bool, String), other: &(bool, String)| one.0.cmp(&other.0).then_with(|| by_version(&one.1, &other.1));
    tags.into_iter().max_by(order).map(|(_, name)| name)
}

fn describe(repository: &Repository, commit: Oid) -> Option<String> {
    if repository.is_shallow() {
        return None;
    }
    let object = repository.find_object(commit, None).ok()?;
    let description = object.describe(DescribeOptions::new().describe_tags()).ok()?;
    description.format(None).ok()
}

/// Numbers by their value, everything else by its letters: 1.10 is after 1.9.
fn by_version(one: &str, other: &str) -> Ordering {
    parts(one).cmp(&parts(other))
}

fn parts(text: &str) -> Vec<(u64, String)> {
    let mut parts: Vec<(u64, String)> = vec![(0, String::new())];
    let mut in_number = false;
    for character in text.chars() {
        if let Some((number, words)) = parts.last_mut() {
            match character.to_digit(10) {
                Some(digit) if in_number || words.is_empty() => {
                    *number = number.saturating_mul(10).saturating_add(u64::from(digit))
                }
                Some(digit) => parts.push((u64::from(digit), String::new())),
                None => words.push(character),
            }
        }
        in_number = character.is_ascii_digit();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        for (lower, higher) in [("v1.9.0", "v1.10.0"), ("1.2", "1.2.1"), ("v1.0", "v2.0"), ("a", "b"), ("v1.0-rc1", "v1.0-rc2")]
        {
            assert_eq!(by_version(lower, higher), Ordering::Less, "{lower} {higher}");
        }
    }
}
