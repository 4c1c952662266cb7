//! What may be believed of a configuration while the one that counts can't be read.

use super::{Config, EnvironmentConfig, LogConfig, RedactConfig, SignersConfig};
use crate::core::policy::{ApprovalFor, ApprovalRules, Calendar, FollowUpRule, Globs, People, Rules, Span, WhenUnreachable};
use crate::core::record::{Name, Tier};
use chrono::TimeDelta;

impl Config {
    /// What may be believed of a configuration while the one that counts can't be read: names, and what makes it stricter. Not
    /// where the log is, who may sign or approve, what is no secret, or that an environment or a path matters less.
    #[must_use]
    pub fn without_leniency(self) -> Config {
        let strict = |tier: Option<Tier>| tier.filter(|tier| *tier == Tier::Production);
        let environments = self.environments.into_iter();
        let (log, signers) = (self.log, self.signers);
        Config {
            service: self.service,
            environments: environments.map(|(name, of)| (name, EnvironmentConfig { tier: strict(of.tier) })).collect(),
            tickets: self.tickets,
            retention: self.retention,
            log: LogConfig { id: log.id, first: log.first, ..LogConfig::default() },
            signers: SignersConfig { revoked: signers.revoked, ..SignersConfig::default() },
            redact: RedactConfig::default(),
            rules: strictly(self.rules),
        }
    }
}

fn strictly(rules: Rules) -> Rules {
    let asked = |(name, asked): (Name, ApprovalFor)| (name, asked.max(ApprovalFor::Sensitive));
    Rules {
        are_written: rules.are_written,
        environments: rules.environments.into_iter().map(asked).collect(),
        // a service without paths is judged by all that no other service has
        services: rules.services.into_keys().map(|name| (name, Globs::default())).collect(),
        sensitive: rules.sensitive,
        emergency: rules.emergency,
        follow_up: FollowUpRule {
            within: sooner(rules.follow_up.within),
            overdue: rules.follow_up.overdue.max(FollowUpRule::default().overdue),
            assignee: None,
            issue: false,
        },
        approval: nobodys(&rules.approval),
        rollback_holds: rules.rollback_holds,
        freezes: rules.freezes,
        calendar: Calendar { zone: rules.calendar.zone, ..Calendar::default() },
        people: People::default(),
        unreachable: rules.unreachable.or_stricter(&WhenUnreachable::default()),
    }
}

/// Rules by which no approval counts: an empty list of approvers would mean everybody, so no kind of it is accepted.
fn nobodys(rules: &ApprovalRules) -> ApprovalRules {
    let default = ApprovalRules::default();
    ApprovalRules {
        approvers: Vec::new(),
        groups: Vec::new(),
        minimum_access: rules.minimum_access,
        accept: Vec::new(),
        four_eyes: rules.four_eyes.max(default.four_eyes),
        valid_for: rules.valid_for.min(default.valid_for),
    }
}

/// The time for a review, where it is no longer than by default: a business day ends a day from now at the earliest.
fn sooner(within: Span) -> Span {
    match within {
        Span::Exact(length) if length <= TimeDelta::days(1) => within,
        _ => FollowUpRule::default().within,
    }
}
