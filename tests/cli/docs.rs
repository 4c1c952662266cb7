//! The documents say what the program does.

use crate::support::env::TestEnv;
use deploy_record::cli::Exit;
use deploy_record::core::finding::Code;

const README: &str = include_str!("../../README.md");
const FORMAT: &str = include_str!("../../docs/format.md");

#[test]
fn every_code_stands_in_the_format() {
    let row = |code: &Code| format!("| `{code}` | {} | {} |", code.severity(), code.description());
    for code in Code::ALL {
        assert!(FORMAT.contains(&row(code)), "{}", row(code));
    }
    assert_eq!(FORMAT.matches(" | error | ").count() + FORMAT.matches(" | notice | ").count(), Code::ALL.len());
}

#[test]
fn the_exit_codes_stand_in_the_readme_and_in_the_help() {
    let help = TestEnv::new().deploy_record(&["--help"]);
    for (code, meaning) in Exit::TABLE {
        assert!(README.contains(&format!("| {code} | {meaning} |")), "{code}");
        assert!(help.stdout.contains(&format!("{code}  {meaning}")), "{code}");
    }
}

#[test]
fn every_command_and_option_of_the_readme_exists() {
    let env = TestEnv::new();
    let help = env.deploy_record(&["--help"]).stdout;
    let rows = README.lines().filter_map(|line| line.strip_prefix("| `--")?.split('`').next());
    for option in rows {
        assert!(help.contains(&format!("--{option}")), "--{option}");
    }
    for command in ["run", "record", "log", "show", "status", "verify", "keygen", "schema"] {
        assert!(README.contains(&format!("| `deploy-record {command}")), "{command}");
        let help = env.deploy_record(&[command, "--help"]);
        assert!(help.expect(0).stdout.contains("Example"), "{command} has no example");
    }
}
