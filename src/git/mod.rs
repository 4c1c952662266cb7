//! libgit2 towards other machines: smart transports of our own over HTTP and SSH, and the remotes that use them.

mod credential;
mod http_config;
mod remote;
mod route;
mod smart_http;
mod smart_ssh;
mod ssh;

pub use credential::CredentialHelper;
pub use http_config::HttpConfig;
pub use remote::{Advertised, GitRemote, PushError};
pub use smart_http::{Credentials, Login};
pub use ssh::{AddressError, Ssh, SshAddress, SshProgram, is_ssh, percent_decoded};
