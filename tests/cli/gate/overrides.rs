//! Neither a branch nor whoever starts a pipeline weakens the policy: in a job, the default branch's file decides.

use super::rig::{POLICY, Team, codes};
use crate::support::git_server::GitServer;
use serde_json::json;

#[test]
fn a_branch_that_weakens_the_policy_gains_nothing() {
    let server = GitServer::http();
    let mut team = Team::job(&server, POLICY);
    let policy = team.env.git(&["rev-parse", "--short=8", "main"]);
    team.deploy("1", &[]).expect(0);
    for branch in ["hotfix/pay", "feature"] {
        team.env.git(&["checkout", "--quiet", "main"]);
        team.branch(branch);
        let weaker = POLICY.replace("sensitive:\n  billing: { paths: [\"billing/**\"] }\n", "").replace("[dana,", "[eve,");
        let signers = team.env.git(&["show", "main:.deploy-record/allowed_signers"]).replace("dana ", "mallory ");
        let files =
            [(".deploy-record.yml", weaker.as_str()), (".deploy-record/allowed_signers", &signers), ("billing/tax.rs", "2")];
        let sha = team.commit(&files, "Weaken it");
        team.deploy(branch, &[]).expect(1).says("(approval-missing)").says("dana or chen can approve it");
        assert!(!team.env.path().join("ran-hotfix").exists() && !team.ran(branch));
        let refusal = team.newest();
        let class = if branch == "feature" { "sensitive" } else { "emergency" };
        assert_eq!((&refusal["kind"], &refusal["class"]["name"]), (&"refusal".into(), &class.into()));
        assert_eq!(refusal["policy"]["ref"], format!("main at {policy}"));
        assert!(refusal["class"]["because"].as_array().expect("reasons").contains(&json!("billing: billing/tax.rs")));
        // the one whom the branch makes an approver is none; her own machine believes the branch that she has checked out
        let eve = team.machine_of("eve");
        let approve = ["approve", "-e", "production", "--commit", &sha, "--reason", "fine"];
        eve.deploy_record(&approve).expect(1).says("approval-not-approver");
        eve.git(&["checkout", "--quiet", branch]);
        eve.deploy_record(&approve).expect(0);
        team.next_job();
        team.deploy(branch, &[]).expect(1).says("(approval-missing)").says("(approval-not-approver)");
        assert!(codes(&team.newest()).contains(&"approval-not-approver"));
    }
}

#[test]
fn a_variable_or_flag_that_names_another_policy_is_refused() {
    let server = GitServer::http();
    let other = server.add_repository("grp/other.git");
    let mut team = Team::job(&server, POLICY);
    let beside = |name: &str, text: &str| {
        std::fs::write(team.env.beside(name), text).expect("written");
        team.env.beside(name).display().to_string()
    };
    let own_log = format!("{}/grp/other.git", server.url());
    let given = [
        ("config", beside("weak.yml", "approval: { approvers: [ann], four_eyes: off }\n")),
        (
            "allowed-signers",
            beside("signers", &std::fs::read_to_string(team.env.trust("chen", &team.env.beside("ann"))).expect("one")),
        ),
        ("branch", "other".to_owned()),
        ("log", own_log),
        ("log", "local".to_owned()),
        ("log", other.display().to_string()),
    ];
    team.commit(&[("billing/tax.rs", "2")], "Round half up");
    for is_down in [false, true] {
        if is_down {
            team.cut_off(&server);
        }
        for (flag, value) in &given {
            let variable = format!("DEPLOY_RECORD_{}", flag.replace('-', "_").to_uppercase());
            team.env.set(&variable, value);
            team.deploy("2", &[]).expect(2).says("policy-override").says(&variable);
            if !is_down {
                team.run(&["check", "-e", "production"]).expect(2).says("policy-override");
                team.run(&["start", "-e", "production"]).expect(2).says("policy-override");
            }
            team.env.unset(&variable);
            team.deploy("2", &[&format!("--{flag}"), value.as_str()]).expect(2).says("policy-override");
        }
    }
    assert!(!team.ran("2"));
    for repository in [server.repository(), &other, &team.env.path()] {
        let branches =
            team.env.git(&["-C", &repository.display().to_string(), "branch", "--all", "--list", "*deploy-log*", "*other*"]);
        assert_eq!(branches, "", "no log was begun in {}", repository.display());
    }
}
