//! A real sshd on 127.0.0.1 for tests, with keys of its own and one bare repository; it stops when dropped.

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SSHD: &str = "/usr/sbin/sshd";
const START_LIMIT: Duration = Duration::from_secs(20);

/// A running server.
pub struct SshServer {
    folder: TempDir,
    port: u16,
    sshd: Child,
}

impl SshServer {
    /// Starts it.
    ///
    /// # Panics
    /// If sshd is not installed, or does not start.
    pub fn start() -> SshServer {
        assert!(Path::new(SSHD).exists(), "{SSHD} is missing: install sshd (Debian: openssh-server)");
        let folder = tempfile::Builder::new().prefix("deploy-record-sshd.").tempdir().expect("a folder");
        for name in ["host", "client", "stranger"] {
            run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.path().join(name)));
        }
        fs::copy(folder.path().join("client.pub"), folder.path().join("authorized_keys")).expect("authorized keys");
        make_repository(&folder.path().join("app.git"));
        // as root, sshd wants the folder that its service makes
        if is_root() {
            fs::create_dir_all("/run/sshd").expect("/run/sshd");
        }
        let begin = Instant::now();
        loop {
            let port = free_port();
            let mut sshd = spawn(folder.path(), port);
            if answers(port, &mut sshd) {
                let server = SshServer { folder, port, sshd };
                server.trust_host("host.pub");
                return server;
            }
            sshd.kill().ok();
            let errors = sshd.wait_with_output().map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
            assert!(begin.elapsed() < START_LIMIT, "sshd does not start: {errors:?}");
        }
    }

    /// The repository's address.
    pub fn url(&self) -> String {
        self.url_of("app.git")
    }

    /// The address of what may be there.
    pub fn url_of(&self, name: &str) -> String {
        format!("ssh://127.0.0.1:{}{}", self.port, self.folder.path().join(name).display())
    }

    /// The repository on disk.
    pub fn repository(&self) -> PathBuf {
        self.folder.path().join("app.git")
    }

    /// The command line of an ssh that trusts the host and has the key that it takes, and nothing of this machine's user.
    pub fn command(&self) -> String {
        self.command_with("client")
    }

    /// The same with another key: `stranger` is taken by nobody.
    pub fn command_with(&self, key: &str) -> String {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        format!(
            "ssh -F none -i {} -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile={} -o GlobalKnownHostsFile=none -o BatchMode=yes",
            path(key),
            path("known_hosts")
        )
    }

    /// Has clients expect this key of the host.
    pub fn trust_host(&self, public_key: &str) {
        let key = fs::read_to_string(self.folder.path().join(public_key)).expect("a public key");
        let line = format!("[127.0.0.1]:{} {key}", self.port);
        fs::write(self.folder.path().join("known_hosts"), line).expect("known hosts");
    }

    /// Lets a hook of the repository run this shell script.
    pub fn hook(&self, name: &str, script: &str) {
        super::env::write_script(&self.repository().join("hooks").join(name), script);
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.sshd.kill().ok();
        self.sshd.wait().ok();
    }
}

fn make_repository(path: &Path) {
    run(Command::new("git").args(["init", "--quiet", "--bare", "--initial-branch=main"]).arg(path));
    for (name, value) in [("receive.denyNonFastForwards", "true"), ("receive.advertisePushOptions", "true")] {
        run(Command::new("git").arg("-C").arg(path).args(["config", name, value]));
    }
}

fn spawn(folder: &Path, port: u16) -> Child {
    let path = |name: &str| folder.join(name).display().to_string();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel ERROR\nSetEnv \"PATH={}\" GIT_CONFIG_GLOBAL=/dev/null\n",
        path("host"),
        path("authorized_keys"),
        std::env::var("PATH").expect("PATH"),
    );
    fs::write(folder.join("sshd_config"), config).expect("sshd's configuration");
    let mut command = Command::new(SSHD);
    command.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("sshd")
}

fn answers(port: u16, sshd: &mut Child) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) && matches!(sshd.try_wait(), Ok(None)) {
        let mut banner = [0; 4];
        let answer = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).and_then(|mut stream| stream.read_exact(&mut banner));
        if answer.is_ok() && banner == *b"SSH-" {
            return true;
        }
        sleep(Duration::from_millis(20));
    }
    false
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("can't run {command:?}: {error}; install it"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
