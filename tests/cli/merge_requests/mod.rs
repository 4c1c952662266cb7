//! Approvals that stand in GitLab: comments and buttons of merge requests.

mod comment;
mod near_misses;
mod servers;
mod story;

use crate::gate::rig::Team;
use crate::support::git_server::GitServer;

/// What the approver writes.
pub const NOTE: &str = "Deploy-Approval: production\nReason: looked at the tax change with eve";

/// Numbers of people: `ann` runs and writes, `chen` and `dana` may approve, `eve` merges.
pub const ANN: u64 = 7;
pub const CHEN: u64 = 8;
pub const DANA: u64 = 9;
pub const EVE: u64 = 10;

pub const POLICY: &str = r#"
environments:
  production: { tier: production }
sensitive:
  billing: { paths: ["billing/**"] }
approval: { approvers: [dana, chen] }
people: { ann: { git: ["ann@acme.example"] } }
"#;

/// A team in a job, with one deployment behind it, so that only what is new counts.
pub fn team(server: &GitServer, policy: &str) -> Team {
    let team = Team::job(server, policy);
    team.deploy("1.0", &[]).expect(0);
    team
}

/// A merge request of ann's that changes a file and that eve merged; its number and the merge commit.
pub fn merged(team: &mut Team, server: &GitServer, iid: u64, file: &str) -> String {
    team.env.git(&["checkout", "--quiet", "-b", &format!("change-{iid}")]);
    team.commit(&[(file, &format!("{iid}"))], &format!("Change {iid}"));
    let head = team.env.git(&["rev-parse", "HEAD"]);
    server.gitlab(|gitlab| gitlab.merge_request(iid, ANN).sha = head);
    merge(team, server, iid)
}

/// Merges an open merge request; the merge commit.
pub fn merge(team: &mut Team, server: &GitServer, iid: u64) -> String {
    team.env.git(&["checkout", "--quiet", "main"]);
    team.env.git(&["merge", "--quiet", "--no-ff", "-m", "Merge", &format!("change-{iid}")]);
    let sha = team.push();
    server.gitlab(|gitlab| gitlab.merge(iid, EVE, &sha));
    sha
}
