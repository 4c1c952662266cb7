use super::*;
use crate::core::policy::{ApprovalFor, FourEyes, Overdue, Span, Unreachable};
use crate::core::record::{ApprovalSource, ClassName, Tier};
use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::Value as Json;

/// Everything that a file can have, one key or entry a line.
const FULL: &str = "\
services:
  api: { paths: [\"api/**\", \"!api/docs/\"] }
  web: { paths: [web] }
environments:
  production: { tier: production, approval_for: always }
  eu-1: { tier: production }
  staging: { approval_for: never }
  review/demo:
sensitive:
  payments: { paths: [\"src/pay/**\", \"*.sql\"] }
  access: { paths: [\"**/auth/**\"] }
emergency:
  branches: [\"fix-now/*\"]
  direct_push: false
  follow_up: { within: 2 business days, assignee: kim, overdue: refuse }
approval:
  approvers: [kim, noor]
  accept: [signed, claimed]
  four_eyes: after
  valid_for: 36 hours
rollback: { hold: true }
freeze:
  - { from: \"Thu 18:00\", to: \"Mon 06:00\", environments: [production, eu-1] }
  - { from: 2026-12-23, to: 2027-01-02 }
log_unreachable: { routine: stop, sensitive: stop, emergency: stop }
time_zone: Asia/Tokyo
holidays: [2026-12-31, \"2027-01-01\"]
people: { kim: { git: [kim@example.org, \"k@home.example\"] }, noor: { git: [noor@example.org] } }
tickets: { pattern: \"OPS-[0-9]+\", url: \"https://tickets.example.org/browse/:id\" }
retention:
  - { what: job logs, where: GitLab, viewers: the team, keep: 90 days }
log:
  url: https://gitlab.example/grp/log.git
  branch: deploys
  id: \"0123456789abcdef0123456789abcdef\"
  first: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  committer_email: bot@example.org
signers:
  revoked: [{ key: \"SHA256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", after: 124 }]
  unprotected: [staging]
redact: { allow: [jwt, \"variable:PUBLIC_KEY\"] }
";

const README: &str = include_str!("../../README.md");
const PAGE: &str = include_str!("../../docs/configuration.md");

fn parsed(text: &str) -> Config {
    Config::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn name(text: &str) -> Name {
    Name::new(text).expect(text)
}

#[test]
fn a_full_configuration() {
    let config = parsed(FULL);
    let rules = &config.rules;
    assert!(rules.are_written && rules.rollback_holds && config.service.is_none());
    assert_eq!(config.environments["production"].tier, Some(Tier::Production));
    assert_eq!(config.environments["review/demo"].tier, None);
    let asked = ["production", "eu-1", "staging", "elsewhere"].map(|environment| rules.approval_for(&name(environment)));
    assert_eq!(asked, [ApprovalFor::Always, ApprovalFor::Sensitive, ApprovalFor::Never, ApprovalFor::Sensitive]);
    let api = &rules.services[&name("api")];
    assert!(api.has("api/a.rs") && !api.has("api/docs/a.md") && rules.services[&name("web")].has("web/a"));
    let watched: Vec<_> = rules.sensitive.iter().map(|watched| watched.name.as_str()).collect();
    assert_eq!(watched, ["payments", "access"]);
    assert!(rules.sensitive[0].paths.has("db/1.sql"));
    assert!(rules.emergency.branches[0].is_match("fix-now/a") && !rules.emergency.direct_push);
    assert_eq!(rules.follow_up.within, Span::BusinessDays(2));
    assert_eq!((rules.follow_up.assignee.clone(), rules.follow_up.overdue), (Some(name("kim")), Overdue::Refuse));
    assert_eq!(rules.approval.approvers, [name("kim"), name("noor")]);
    assert_eq!(rules.approval.accept, [ApprovalSource::Signed, ApprovalSource::Claimed]);
    assert_eq!((rules.approval.four_eyes, rules.approval.valid_for), (FourEyes::After, TimeDelta::hours(36)));
    assert_eq!(rules.freezes.len(), 2);
    assert_eq!(rules.freezes[0].to_string(), "Thu 18:00 to Mon 06:00");
    assert_eq!(rules.freezes[0].environments, [name("production"), name("eu-1")]);
    assert!(ClassName::ALL.iter().all(|class| rules.unreachable.of(*class) == Unreachable::Stop));
    assert_eq!(rules.calendar.zone.to_string(), "Asia/Tokyo");
    assert_eq!(rules.calendar.holidays.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2026-12-31", "2027-01-01"]);
    assert_eq!(rules.people.login("K@home.example"), Some(name("kim")));
    assert_eq!(config.tickets.pattern.as_deref(), Some("OPS-[0-9]+"));
    assert_eq!(config.tickets.url.as_deref(), Some("https://tickets.example.org/browse/:id"));
    assert_eq!((config.retention[0].place.as_str(), config.retention[0].keep.as_str()), ("GitLab", "90 days"));
    assert_eq!(config.log.branch.as_deref(), Some("deploys"));
    assert_eq!(config.revocations()[0].after, 124);
    assert_eq!(config.signers.unprotected, [name("staging")]);
    assert_eq!(config.redact.allow, ["jwt", "variable:PUBLIC_KEY"]);
}

#[test]
fn what_is_left_out_has_the_default() {
    assert!(!Config::default().rules.are_written);
    for text in
        ["", "  \n", "# nothing yet\n", "---\n", "\u{feff}", "{}", "null", "service: api", "environments: { production: {} }"]
    {
        let rules = parsed(text).rules;
        assert!(rules.are_written, "{text}");
        assert!(rules.sensitive.is_empty() && rules.approval.approvers.is_empty() && !rules.rollback_holds);
        assert_eq!(rules.approval.accept.len(), ApprovalSource::ALL.len() - 1);
        assert_eq!((rules.approval.four_eyes, rules.approval.valid_for), (FourEyes::Before, TimeDelta::days(7)));
        assert_eq!((rules.follow_up.within, rules.follow_up.overdue), (Span::BusinessDays(1), Overdue::Warn));
        assert_eq!(rules.calendar.zone.to_string(), "UTC");
        let unreachable = ClassName::ALL.iter().map(|class| rules.unreachable.of(*class)).collect::<Vec<_>>();
        assert_eq!(unreachable, [Unreachable::Go, Unreachable::Stop, Unreachable::Go]);
    }
    let partly = parsed("log_unreachable: { routine: stop }").rules.unreachable;
    assert_eq!((partly.routine, partly.sensitive), (Unreachable::Stop, Unreachable::Stop));
    assert_eq!(partly.emergency, Unreachable::Go);
}

#[test]
fn who_may_approve_is_named_where_a_rule_asks() {
    for text in [
        "environments: { production: { tier: production } }",
        "environments: { production: { approval_for: never } }\napproval: { four_eyes: off }",
        "sensitive: { a: { paths: [a] } }\napproval: { approvers: [kim] }",
        "sensitive: {}",
        "freeze: []\nrollback: { hold: true }",
    ] {
        parsed(text);
    }
    for text in [
        "sensitive: { a: { paths: [a] } }",
        "emergency: { branches: [\"fix/*\"] }",
        "environments: { production: { approval_for: never } }\nsensitive: { a: { paths: [a] } }",
        "emergency: {}",
        "approval: { four_eyes: off }",
        "approval: { approvers: [] }",
        "environments: { production: { approval_for: always } }",
        "environments: { production: { approval_for: sensitive }, staging: { approval_for: never } }",
        "environments: { production: {}, staging: { approval_for: never } }\nsensitive: { a: { paths: [a] } }",
    ] {
        let error = Config::parse(text).expect_err(text).to_string();
        assert!(error.contains("approvers: [chen, dana]"), "{text}: {error}");
    }
}

/// What a schema can see of a mistake.
#[derive(PartialEq)]
enum Seen {
    /// By the schema too.
    BySchema,
    /// By the parser alone.
    Here,
}
use Seen::{BySchema, Here};

/// Mistakes: the text, the line, the key and words of the remedy that the error names.
const MISTAKES: &[(&str, usize, &str, &str, Seen)] = &[
    (
        "servise: x",
        1,
        "servise",
        "unknown key (did you mean `service`?); allowed here: service, services, environments",
        BySchema,
    ),
    ("tickets: {}\nservise: x", 2, "servise", "did you mean `service`?", BySchema),
    ("service: x\nlog:\n  brunch: y", 3, "log.brunch", "did you mean `branch`?); allowed here: url, branch, id", BySchema),
    ("approval:\n  approvers: [kim]\n  aprovers: [noor]", 3, "approval.aprovers", "did you mean `approvers`?", BySchema),
    ("environments:\n  production:\n    teir: staging", 3, "environments.production.teir", "did you mean `tier`?", BySchema),
    ("log: { branch: a,\n  xyz: b }", 2, "log.xyz", "unknown key; allowed here: url", BySchema),
    ("log_unreachable:\n  rutine: go", 2, "log_unreachable.rutine", "did you mean `routine`?", BySchema),
    ("service: x\nservice: y", 2, "service", "put both into one, or take one out", Here),
    ("environments:\n  a: {}\n  b: {}\n  a: {}", 4, "environments.a", "twice", Here),
    ("sensitive: { a: { paths: [b],\n  paths: [c] } }", 2, "sensitive.a.paths", "twice", Here),
    ("people:\n  kim: { git: [a@b] }\n  kim: { git: [c@d] }", 3, "people.kim", "duplicate key", Here),
    ("service: 123", 1, "service", "put it into quotes: `\"123\"`", BySchema),
    ("service: yes\nservices: {}", 2, "services", "keep `service` where the repository is one", BySchema),
    ("service: true", 1, "service", "if that is meant, put it into quotes: `\"true\"`", BySchema),
    ("service: \"a;b\"", 1, "service", "a name has letters", BySchema),
    ("service: \"\"", 1, "service", "is empty; write a text such as `billing-api`", BySchema),
    ("service:", 1, "service", "has no value; write a text such as `billing-api`, or take the key out", BySchema),
    ("service: [a]", 1, "service", "expected a text such as `billing-api`, found a list", BySchema),
    (
        "services: { api: [a] }",
        1,
        "services.api",
        "expected a mapping such as `{ paths: [\"api/**\"] }`, found a list",
        BySchema,
    ),
    ("services:\n  api: {}", 2, "services.api", "lacks `paths`; add it", BySchema),
    ("services: { api: { paths: a } }", 1, "services.api.paths", "put it into brackets, as in `[\"api/**\"]`", BySchema),
    ("environments: { \"a;b\": {} }", 1, "environments.a;b", "a name has letters", BySchema),
    ("environments:\n  1: {}", 2, "environments", "keys are texts; put it into quotes: `\"1\":`", Here),
    ("environments: [production]", 1, "environments", "expected a mapping such as `{ production:", BySchema),
    ("environments:\n  x: { tier: prod }", 2, "environments.x.tier", "did you mean `production`?", BySchema),
    ("environments:\n  x:\n    approval_for: allways", 3, "environments.x.approval_for", "never, sensitive, always", BySchema),
    ("environments:\n  x:\n    approval_for: always", 3, "environments.x.approval_for", "add `approval:", Here),
    ("sensitive:\n  a:\n    paths: [b]", 1, "sensitive", "add `approval: { approvers:", Here),
    ("sensitive:\n  a: {}", 2, "sensitive.a", "watches nothing; write", BySchema),
    ("sensitive:\n  a: { paths: [] }", 2, "sensitive.a.paths", "is empty; write", BySchema),
    ("sensitive:\n  a:\n    paths:\n      - b\n      - ./c", 5, "sensitive.a.paths[1]", "without `./`", Here),
    ("sensitive: { a: { paths: [\"src/{a,b}\"] } }", 1, "sensitive.a.paths[0]", "one pattern for each", Here),
    ("sensitive: { a: { paths: [\"!a\"] } }", 1, "sensitive.a.paths[0]", "comes first", Here),
    ("sensitive:\n  a:\n    paths: [b]\n    labels: c", 4, "sensitive.a.labels", "put it into brackets", BySchema),
    ("sensitive:\n  a:\n    labels: []", 3, "sensitive.a.labels", "is empty; write", BySchema),
    ("sensitive:\n  a:\n    labels: [security]", 1, "sensitive", "add `approval: { approvers:", Here),
    ("emergency:\n  labels: [hotfix]", 1, "emergency", "add `approval: { approvers:", Here),
    ("emergency:\n  direct_push: true", 1, "emergency", "add `approval: { approvers:", Here),
    ("emergency: { follow_up: { issue: 1 } }", 1, "emergency.follow_up.issue", "expected `true` or `false`", BySchema),
    ("emergency:\n  direct_push: \"false\"", 2, "emergency.direct_push", "without quotes", BySchema),
    ("emergency: { branches: [\"\"] }", 1, "emergency.branches[0]", "such as `hotfix/*`", BySchema),
    ("emergency: { branches: [\"a{b\"] }", 1, "emergency.branches[0]", "such as `hotfix/*`", Here),
    ("emergency:\n  branches: [a]", 1, "emergency", "add `approval: { approvers:", Here),
    ("emergency:\n  follow_up:\n    within: 1 day business", 3, "emergency.follow_up.within", "such as `7 days`", BySchema),
    ("emergency: { follow_up: { overdue: refused } }", 1, "emergency.follow_up.overdue", "did you mean `refuse`?", BySchema),
    ("approval:\n  four_eyes: before", 1, "approval", "add `approvers: [chen, dana]`", Here),
    ("approval:\n  approvers: []", 2, "approval.approvers", "add `approvers: [chen, dana]`", Here),
    ("approval:\n  approvers: kim", 2, "approval.approvers", "put it into brackets, as in `[chen, dana]`", BySchema),
    ("approval:\n  approvers:\n    - kim\n    - noor\n    - kim", 5, "approval.approvers[2]", "take one out", BySchema),
    ("approval: { groups: [\"acme/../x\"] }", 1, "approval.groups[0]", "a group's path such as", BySchema),
    ("approval: { groups: [] }", 1, "approval.groups", "is empty; write `[acme/release-managers]`", BySchema),
    ("approval: { groups: [a, a] }", 1, "approval.groups[1]", "twice", BySchema),
    ("approval: { minimum_access: maintainers }", 1, "approval.minimum_access", "did you mean `maintainer`?", BySchema),
    ("approval: { minimum_access: 40 }", 1, "approval.minimum_access", "reporter, developer, maintainer, owner", BySchema),
    ("approval: { approvers: [a], accept: [] }", 1, "approval.accept", "is empty; write `[signed]`", BySchema),
    ("approval: { accept: [singed] }", 1, "approval.accept[0]", "did you mean `signed`?", BySchema),
    ("approval: { accept: [signed, notes] }", 1, "approval.accept[1]", "expected one of signed, deployment-approval", BySchema),
    ("approval: { four_eyes: false }", 1, "approval.four_eyes", "expected one of off, after, before, found false", BySchema),
    ("approval: { valid_for: 2 business days }", 1, "approval.valid_for", "write hours or days, such as `7 days`", BySchema),
    ("approval: { valid_for: 7 }", 1, "approval.valid_for", "such as `7 days`, found the number 7", BySchema),
    ("rollback: { hold: sometimes }", 1, "rollback.hold", "expected `true` or `false`", BySchema),
    ("rollback: true", 1, "rollback", "such as `{ hold: false }`, found true", BySchema),
    ("freeze: { from: a, to: b }", 1, "freeze", "expected a list such as", BySchema),
    ("freeze:\n  - from: Fri 16:00", 2, "freeze[0]", "lacks `to`; add it, as in", BySchema),
    ("freeze:\n  - { from: a, to: b }", 2, "freeze[0].from", "such as `Fri 16:00`", BySchema),
    ("freeze:\n  - from: Fri 16:00\n    to: Mon 25:00", 3, "freeze[0].to", "such as `Fri 16:00`", Here),
    ("freeze:\n  - { from: 2026-12-24, to: 2026-12-23 }", 2, "freeze[0]", "is not after `2026-12-24`", Here),
    ("freeze:\n  - { from: Fri 16:00, to: 2026-12-24 }", 2, "freeze[0]", "both have to be the one or the other", Here),
    (
        "environments: { prod: {} }\nfreeze:\n  - from: Fri 16:00\n    to: Mon 07:00\n    environments: [prd]",
        5,
        "freeze[0].environments[0]",
        "did you mean `prod`?); or add it there",
        Here,
    ),
    (
        "freeze: [{ from: Fri 16:00, to: Mon 07:00, environments: [] }]",
        1,
        "freeze[0].environments",
        "or take the key out",
        BySchema,
    ),
    ("log_unreachable: { routine: wait }", 1, "log_unreachable.routine", "expected one of go, stop, found `wait`", BySchema),
    ("log_unreachable: go", 1, "log_unreachable", "such as `{ routine: go, sensitive: stop, emergency: go }`", BySchema),
    ("time_zone: Europe/Berln", 1, "time_zone", "did you mean `Europe/Berlin`?", Here),
    ("holidays:\n  - 2026-12-25\n  - 25.12.2026", 3, "holidays[1]", "such as `2026-12-25`", BySchema),
    ("holidays: [2026-02-30]", 1, "holidays[0]", "such as `2026-12-25`", Here),
    ("people: { kim: [a@b] }", 1, "people.kim", "such as `{ git: [", BySchema),
    ("people: { kim: { git: [kim] } }", 1, "people.kim.git[0]", "an address such as `chen@acme.example`", BySchema),
    ("people:\n  kim: { git: [A@b] }\n  noor: { git: [a@B] }", 3, "people.noor.git[0]", "take one out", Here),
    (
        "tickets: { pattern: \"(\" }",
        1,
        "tickets.pattern",
        "is no regular expression such as `[A-Z]+-[0-9]+`: unclosed group",
        Here,
    ),
    ("tickets: { pattern: \"\" }", 1, "tickets.pattern", "is empty; write", BySchema),
    ("tickets: { pattern: \"[A-Z]*\" }", 1, "tickets.pattern", "as in `[A-Z]+-[0-9]+`", Here),
    ("tickets:\n  url: https://t.example/{}", 2, "tickets.url", "needs `:id` once", BySchema),
    ("tickets: { url: \"ftp://t.example/:id\" }", 1, "tickets.url", "write it like `https://", BySchema),
    ("retention:\n  - what: logs\n    where: here\n    keep: 1 year", 2, "retention[0]", "lacks `viewers`; add it", BySchema),
    (
        "retention:\n  - { what: a, where: b, viewers: c,\n      keep: 3 }",
        3,
        "retention[0].keep",
        "put it into quotes",
        BySchema,
    ),
    ("log: { id: abc }", 1, "log.id", "expected 32 lower-case hexadecimal digits", BySchema),
    ("log: { first: abc }", 1, "log.first", "expected `sha256:` and 64", BySchema),
    ("log: { url: \"\" }", 1, "log.url", "is empty; write", BySchema),
    ("log: { committer_email: zzz }", 1, "log.committer_email", "is no address such as", BySchema),
    ("log: { branch: \"a<b\" }", 1, "log.branch", "write it like `deploy-log`", BySchema),
    ("signers: { revoked: [{ key: abc, after: 1 }] }", 1, "signers.revoked[0].key", "expected a fingerprint", BySchema),
    ("signers:\n  revoked:\n    - key: abc\n      afer: 1", 4, "signers.revoked[0].afer", "did you mean `after`?", BySchema),
    ("signers: { revoked: [3] }", 1, "signers.revoked[0]", "a mapping such as `{ key:", BySchema),
    ("signers: { unprotected: [\"a;b\"] }", 1, "signers.unprotected[0]", "a name has letters", BySchema),
    ("redact: { allow: [jwtt] }", 1, "redact.allow[0]", "did you mean `jwt`?", BySchema),
    ("service: a\npublish: {}", 2, "publish", "which this version does not write", BySchema),
    ("a: &a [*a]", 1, "a", "has an alias (`*name`) in itself; write it out", Here),
    ("service: a\nlog:\n\tbranch: b", 3, "log", "indent with spaces, not with tabs", Here),
    ("sensitive:\n  a: { paths: [*.sql] }", 2, "sensitive.a.paths[0]", "into quotes, as in `\"*.sql\"`", Here),
    ("sensitive:\n  a:\n    paths: !reference [b]", 3, "sensitive.a.paths", "has a tag", Here),
    ("log: { branch: a", 1, "log", "brackets and quotes that are not closed", Here),
    ("service: \"a\\nb\"", 1, "service", "write it on one line", BySchema),
    ("environments: { ? [a] : {} }", 1, "environments", "put it into quotes if it is meant", Here),
];

#[test]
fn mistakes_are_named_with_line_key_and_remedy() {
    for (text, line, key, remedy, _) in MISTAKES {
        let error = Config::parse(text).expect_err(text).to_string();
        assert!(error.starts_with(&format!("line {line}: {key}: ")), "{text}\n{error}");
        assert!(error.contains(remedy), "{text}\n{error}");
    }
}

#[test]
fn a_file_that_is_none_is_refused() {
    for (text, because) in [
        ("[1, 2]", "line 1: the file expected a mapping"),
        ("just words", "line 1: the file expected a mapping such as `service: billing-api`, found `just words`"),
        ("service: a\n---\nservice: b", "line 2: the file has more than one document; take out the line `---`"),
        ("service: a\nlog: \u{1b}[31m", "line 2: the file holds a control character"),
        ("a\0", "line 1: the file holds a control character"),
        ("service: a\n\u{feff}log: {}", "line 2: the file holds a control character"),
    ] {
        let error = Config::parse(text).expect_err(text).to_string();
        assert!(error.contains(because), "{text}\n{error}");
    }
    let error = Config::parse(&"#".repeat(LONGEST + 1)).expect_err("long").to_string();
    assert!(error.contains("at most 65536"), "{error}");
}

#[test]
fn hostile_text_makes_short_and_harmless_errors() {
    let long = "x".repeat(60_000);
    for text in [
        "root:x ".repeat(1000),
        format!("service: {long}"),
        format!("{long}: a"),
        format!("log:\n  {long}: a"),
        format!("time_zone: {}", &long[..1_900]),
        format!("tickets: {{ pattern: \"({}\" }}", &long[..1_900]),
        "service: \"\\e[31m\"".to_owned(),
        "\"\\e[31m\": a".to_owned(),
        "service: a\u{202e}b\u{2066}".to_owned(),
        "a\u{202e}b: a".to_owned(),
        format!("service: {}", "[".repeat(60_000)),
        "- ".repeat(30_000),
        "? ".repeat(30_000),
        "{a: ".repeat(15_000),
        "!a ".repeat(15_000),
        "&a ".repeat(15_000),
        "a: &a {b: *a}".to_owned(),
    ] {
        let start = std::time::Instant::now();
        let error = Config::parse(&text).expect_err("hostile").to_string();
        assert!(error.chars().count() < 800, "{error}");
        assert!(!error.contains(char::is_control) && !error.contains('\u{202e}'), "{error}");
        assert!(start.elapsed().as_secs() < 5, "{}", &text[..10]);
    }
}

#[test]
fn aliases_make_no_more_than_a_file_may_have() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let error = Config::parse(&laughs).expect_err("a bomb").to_string();
    assert!(error.contains("write it out without aliases") && error.starts_with("line "), "{error}");
    let long = format!("service: &a {}\nholidays: [{}]", "x".repeat(1_900), "*a, ".repeat(1_000));
    let error = Config::parse(&long).expect_err("a bomb").to_string();
    assert!(error.contains("write it out without aliases"), "{error}");
    // used as people do, they are fine
    let config = parsed("environments: { a: &a { tier: production }, b: *a }");
    assert_eq!(config.environments["b"].tier, Some(Tier::Production));
}

#[test]
fn a_long_list_of_patterns_is_read_soon() {
    let patterns: String = (0..3_000).map(|number| format!("      - src/{number}/**/x\n")).collect();
    let text = format!("approval: {{ approvers: [kim] }}\nsensitive:\n  a:\n    paths:\n{patterns}");
    let start = std::time::Instant::now();
    parsed(&text);
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

#[test]
fn what_counts_meanwhile_is_only_stricter() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let text = format!(
        "service: api\nenvironments: {{ production: {{ tier: development, approval_for: never }}, eu-1: {{ tier: production, approval_for: always }} }}\n\
        log: {{ url: \"https://evil.example/l.git\", branch: other, id: {}, first: \"{digest}\", committer_email: a@b }}\n\
        signers: {{ revoked: [{{ key: \"SHA256:{}\", after: 3 }}], unprotected: [production] }}\nredact: {{ allow: [jwt] }}\n\
        log_unreachable: {{ routine: stop, sensitive: go, emergency: go }}\n\
        sensitive: {{ pay: {{ paths: [pay] }} }}\n\
        emergency: {{ branches: [now], follow_up: {{ within: 90 days, assignee: mallory, overdue: refuse }} }}\n\
        approval: {{ approvers: [mallory], accept: [claimed], four_eyes: off, valid_for: 90 days }}\n\
        rollback: {{ hold: true }}\nfreeze: [{{ from: Fri 16:00, to: Mon 07:00 }}]\n\
        time_zone: Europe/Berlin\nholidays: [2026-12-25]\npeople: {{ mallory: {{ git: [kim@example.org] }} }}\n",
        "a".repeat(32),
        "a".repeat(43)
    );
    let config = parsed(&text).without_leniency();
    assert_eq!((&config.log.url, &config.log.branch, &config.log.committer_email), (&None, &None, &None));
    assert!(config.signers.unprotected.is_empty() && config.redact.allow.is_empty());
    let tiers: Vec<_> = config.environments.iter().map(|(name, of)| (name.as_str(), of.tier)).collect();
    assert_eq!(tiers, [("eu-1", Some(Tier::Production)), ("production", None)]);
    assert!(config.log.id.is_some() && config.log.first.is_some() && config.revocations().len() == 1);
    assert_eq!(config.service.as_ref().map(Name::as_str), Some("api"));
    let rules = &config.rules;
    assert!(rules.are_written && rules.rollback_holds);
    let unreachable = ClassName::ALL.iter().map(|class| rules.unreachable.of(*class)).collect::<Vec<_>>();
    assert_eq!(unreachable, [Unreachable::Stop, Unreachable::Stop, Unreachable::Go]);
    let asked = ["production", "eu-1"].map(|environment| rules.approval_for(&name(environment)));
    assert_eq!(asked, [ApprovalFor::Sensitive, ApprovalFor::Always]);
    assert_eq!((rules.sensitive.len(), rules.emergency.branches.len(), rules.freezes.len()), (1, 1, 1));
    assert_eq!((rules.follow_up.within, rules.follow_up.overdue), (Span::BusinessDays(1), Overdue::Refuse));
    assert!(rules.follow_up.assignee.is_none());
    assert!(rules.approval.approvers.is_empty() && rules.approval.accept.is_empty());
    assert_eq!((rules.approval.four_eyes, rules.approval.valid_for), (FourEyes::Before, TimeDelta::days(7)));
    assert_eq!(rules.calendar.zone.to_string(), "Europe/Berlin");
    assert!(rules.calendar.holidays.is_empty() && rules.people.login("kim@example.org").is_none());
}

#[test]
fn shorter_times_stay_meanwhile_and_paths_of_services_go() {
    let rules = parsed(FULL.replace("2 business days", "4 hours").as_str()).without_leniency().rules;
    assert_eq!(rules.follow_up.within, Span::Exact(TimeDelta::hours(4)));
    assert_eq!(rules.approval.valid_for, TimeDelta::hours(36));
    assert!(rules.services.len() == 2 && rules.services.values().all(|paths| paths.is_empty()));
    let rules = Config::default().without_leniency().rules;
    assert!(!rules.are_written && rules.approval.accept.is_empty());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = Config::parse(&text);
    }

    #[test]
    fn no_change_of_a_file_makes_it_panic(at in 0..FULL.len(), length in 0..40usize, with in "[-:{}\\[\\]#&*!|>'\"%@`?, \t\n\\\\a0~]{0,6}") {
        let end = FULL.floor_char_boundary((at + length).min(FULL.len()));
        let text = format!("{}{with}{}", &FULL[..FULL.floor_char_boundary(at).min(end)], &FULL[end..]);
        if let Err(error) = Config::parse(&text) {
            prop_assert!(error.to_string().starts_with("line "), "{}\n{}", text, error);
        }
    }
}

fn validator() -> jsonschema::Validator {
    let schema: Json = serde_json::from_str(SCHEMA).expect("JSON");
    assert!(jsonschema::meta::is_valid(&schema));
    jsonschema::validator_for(&schema).expect("a schema")
}

fn as_json(text: &str) -> Json {
    serde_yaml::from_str(text).expect(text)
}

#[test]
fn the_schema_sees_what_a_schema_can_see() {
    let validator = validator();
    for (text, .., seen) in MISTAKES {
        if *seen == BySchema {
            assert!(!validator.is_valid(&as_json(text)), "{text}");
        } else if let Ok(json) = serde_yaml::from_str(text) {
            assert!(validator.is_valid(&json), "the schema sees it: {text}");
        }
    }
}

/// The blocks of YAML in a page, but for those of a pipeline.
fn examples(page: &'static str) -> Vec<&'static str> {
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().expect("an end"));
    blocks.filter(|block| !block.contains("\n  script:")).collect()
}

#[test]
fn the_documents_examples_are_right() {
    let validator = validator();
    let examples = [examples(README), examples(PAGE)].concat();
    assert!(examples.len() >= 2);
    for text in examples.iter().chain(&[FULL]) {
        parsed(text);
        let errors: Vec<_> = validator.iter_errors(&as_json(text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{text}\n{errors:?}");
    }
}

/// Every mapping of the schema that has keys of its own: an example up to it, with `@` where it goes, and its keys.
fn mappings(schema: &Json, around: &str, found: &mut Vec<(String, Vec<String>)>) {
    if let Some(properties) = schema["properties"].as_object() {
        found.push((around.to_owned(), properties.keys().cloned().collect()));
        for (key, value) in properties {
            mappings(value, &around.replace('@', &format!("{{ {key}: @ }}")), found);
        }
    }
    if schema["additionalProperties"].is_object() {
        mappings(&schema["additionalProperties"], &around.replace('@', "{ some: @ }"), found);
    }
    if schema["items"].is_object() {
        mappings(&schema["items"], &around.replace('@', "[ @ ]"), found);
    }
}

#[test]
fn the_schema_has_the_keys_that_the_parser_takes() {
    let mut found = Vec::new();
    mappings(&serde_json::from_str(SCHEMA).expect("JSON"), "@", &mut found);
    assert_eq!(found.len(), 17);
    for (around, keys) in found {
        let text = around.replace('@', "{ unheard-of: 1 }");
        let error = Config::parse(&text).expect_err(&text).to_string();
        let (_, allowed) = error.split_once("allowed here: ").expect(&error);
        assert_eq!(allowed.split(", ").collect::<Vec<_>>(), keys, "{text}");
    }
}

#[test]
fn every_key_stands_in_the_page() {
    let mut found = Vec::new();
    mappings(&serde_json::from_str(SCHEMA).expect("JSON"), "@", &mut found);
    for (around, keys) in found {
        let path: Vec<_> = around.split(['{', '}', '[', ']', ' ', ':', '@']).filter(|word| !word.is_empty()).collect();
        for key in keys {
            let path = path.iter().map(|word| word.replace("some", "NAME")).chain([key]).collect::<Vec<_>>().join(".");
            assert!(PAGE.contains(&format!("| `{path}` |")), "`{path}` is not in docs/configuration.md");
        }
    }
}
