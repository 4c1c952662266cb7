//! What the person's git is told about HTTP: `http.proxy` and `http.sslCAInfo`, for all addresses or for some
//! (`http.<url>.…`).

use crate::child;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);
const LARGEST_ANSWER: usize = 256 * 1024;

/// Git's settings for one address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpConfig {
    /// The proxy; an empty one means none, whatever else says otherwise.
    pub proxy: Option<String>,
    /// The file of certificate authorities; `~/` is not expanded.
    pub ca_file: Option<String>,
}

impl HttpConfig {
    /// Asks git, in this folder; nothing where there is no git, or no such setting.
    pub fn read(directory: &Path, url: &str) -> HttpConfig {
        let mut command = Command::new("git");
        command.arg("-C").arg(directory).args(["config", "-z", "--get-urlmatch", "http", url]);
        match child::run(&mut command, b"", LARGEST_ANSWER, LIMIT) {
            Ok(output) if output.is_success => HttpConfig::parse(&String::from_utf8_lossy(&output.stdout)),
            _ => HttpConfig::default(),
        }
    }

    fn parse(text: &str) -> HttpConfig {
        let value = |name: &str| {
            let mut fields = text.split('\0').filter_map(|field| field.split_once('\n'));
            fields.rfind(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        HttpConfig { proxy: value("http.proxy"), ca_file: value("http.sslcainfo").filter(|path| !path.is_empty()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_counts_is_read() {
        let config = HttpConfig::parse("http.sslverify\nfalse\0http.proxy\nhttp://a:b@proxy:1\0http.sslcainfo\n~/ca.pem\0");
        assert_eq!(config.proxy.as_deref(), Some("http://a:b@proxy:1"));
        assert_eq!(config.ca_file.as_deref(), Some("~/ca.pem"));
        assert_eq!(HttpConfig::parse("http.proxy\n\0").proxy.as_deref(), Some(""));
        assert_eq!(HttpConfig::parse(""), HttpConfig::default());
    }
}
