//! The copy of a remote log on this machine: where it is, and what is said about it.

use super::context::Context;
use crate::core::record::Digest;
use crate::core::time::readable;
use crate::repo::Checkout;
use crate::store::{Cache, Notice, OnNotice};
use std::path::PathBuf;
use std::sync::Arc;

/// The copy of this branch at this address; none where there can't be one.
pub fn open(ctx: &Context, checkout: Option<&Checkout>, address: &str, branch: &str) -> Option<Cache> {
    let Some(folder) = folder(ctx, checkout, address, branch) else {
        ctx.ui.verbose("no copy of the log is kept on this machine: HOME is not set");
        return None;
    };
    let opened = Cache::open(&folder);
    opened
        .inspect_err(|error| {
            ctx.ui.verbose(&format!("no copy of the log is kept on this machine: `{}`: {error}", folder.display()))
        })
        .ok()
}

/// Whether there is a copy of this branch at this address.
pub fn is_there(ctx: &Context, checkout: Option<&Checkout>, address: &str, branch: &str) -> bool {
    folder(ctx, checkout, address, branch).is_some_and(|folder| folder.exists())
}

/// Number of the newest record that this machine has seen of this branch at this address.
pub fn newest_seen(ctx: &Context, checkout: Option<&Checkout>, address: &str, branch: &str) -> Option<u64> {
    folder(ctx, checkout, address, branch).filter(|folder| folder.exists())?;
    Some(open(ctx, checkout, address, branch)?.seen()?.seq)
}

fn folder(ctx: &Context, checkout: Option<&Checkout>, address: &str, branch: &str) -> Option<PathBuf> {
    let digest = Digest::of(format!("{address}\n{branch}").as_bytes()).to_string();
    let name: String = digest.trim_start_matches("sha256:").chars().take(32).collect();
    Some(base(ctx, checkout)?.join(name))
}

/// Below the git directory at hand, else in the person's cache.
fn base(ctx: &Context, checkout: Option<&Checkout>) -> Option<PathBuf> {
    if let Some(checkout) = checkout {
        return Some(checkout.git_dir().join("deploy-record").join("cache"));
    }
    let variable = |name: &str| ctx.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    Some(cache.join("deploy-record"))
}

/// Says what a reader has to know.
pub fn on_notice(ctx: &Context) -> OnNotice {
    let ui = Arc::clone(&ctx.ui);
    Box::new(move |notice| match notice {
        Notice::Offline { reason, as_of } => {
            ui.warn(&format!("offline ({reason}): this is the log as of {}", readable(*as_of)));
        }
        Notice::Fetched { reason, remote } => {
            ui.warn(&format!("offline ({reason}): this is what the last `git fetch {remote}` brought"));
        }
        Notice::Rewound(rewound) => {
            let now = match &rewound.now {
                Some(commit) => format!("it ends with commit {} now, which does not come after that", commit.short()),
                None => "its branch is gone now".to_owned(),
            };
            ui.loud(&format!(
                "THE LOG WAS REWOUND OR REPLACED since this machine last looked: it had record {}, commit {}, and {now}. \
                 That record and those before it are kept in `{}`; keep them as evidence. Only if you know why this is right, \
                 remove that folder.",
                rewound.seen.seq,
                rewound.seen.commit,
                rewound.folder.display()
            ));
        }
        Notice::NoCache(words) => ui.verbose(words),
    })
}
