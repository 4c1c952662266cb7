//! The commit of a record: what stands beside it on the branch, and the signatures over both.

use super::RecordError;
use crate::core::log::entry::{ATTRIBUTES, FILES};
use crate::core::log::{message, page};
use crate::core::record::{CommitId, Digest, Record};
use crate::core::seal;
use crate::core::state::State;
use crate::signer::Signer;
use crate::store::{LogStore, NewCommit};

/// Makes the commit of a record that has its place in the log, on top of `base`; the branch does not move. `state` is the
/// state before the record; gives the one after it, too.
///
/// # Errors
/// Where it can't be signed or written.
pub fn write(
    store: &LogStore,
    signer: &Signer,
    record: &Record,
    state: Option<State>,
    base: Option<&CommitId>,
) -> Result<(CommitId, State), RecordError> {
    let bytes = record.to_bytes();
    let digest = Digest::of(&bytes);
    let signature = signer.sign(seal::NAMESPACE_RECORD, &bytes)?;
    let state = State::after(state, record, digest);
    let state_bytes = state.to_bytes();
    let page = page::render(&state, record, store.branch())?;
    let message = message::compose(record, digest, Digest::of(&state_bytes));
    let contents: [&[u8]; 5] = [ATTRIBUTES, page.as_bytes(), &bytes, signature.as_bytes(), &state_bytes];
    let new = NewCommit {
        files: FILES.into_iter().zip(contents).collect(),
        message: &message,
        name: record.signer.as_str(),
        email: signer.email(),
        time: record.recorded_at.utc().timestamp(),
    };
    let commit = store.write(&new, base, &|payload| signer.sign(seal::NAMESPACE_GIT, payload))?;
    Ok((commit, state))
}
