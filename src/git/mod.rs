//! libgit2 towards other machines: the smart HTTP transport and the remotes that use it.

mod remote;
mod transport;

pub use remote::{Advertised, GitRemote, PushError};
pub use transport::Credentials;
