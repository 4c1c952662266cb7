//! The button Approve of merge requests (docs.gitlab.com/api/merge_request_approvals).

use super::Approval;
use super::call::{Answer, Call, json};
use super::state::{Gitlab, timestamp};
use serde_json::json as to_json;

impl Gitlab {
    /// Approves the merge request, which leaves a system note.
    pub fn approve(&mut self, iid: u64, user: u64) {
        let approved_at = self.now();
        self.merge_request_mut(iid).approvals.push(Approval { user, approved_at });
        self.system_note(iid, user, "approved this merge request");
    }

    /// Takes an approval back, which leaves a system note.
    pub fn unapprove(&mut self, iid: u64, user: u64) {
        self.merge_request_mut(iid).approvals.retain(|approval| approval.user != user);
        self.system_note(iid, user, "unapproved this merge request");
    }

    /// Takes all approvals back, as a push does where the project says so.
    pub(super) fn reset_approvals(&mut self, iid: u64, pusher: u64) {
        let approvals = std::mem::take(&mut self.merge_request_mut(iid).approvals);
        let names = approvals.iter().filter_map(|approval| self.find_user(approval.user));
        let names: Vec<String> = names.map(|user| format!("@{}", user.username)).collect();
        if !names.is_empty() {
            let text = format!("reset approvals from {} by pushing to the branch", names.join(" and "));
            self.system_note(iid, pusher, &text);
        }
    }
}

pub fn show(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let merge_request = gitlab.find_merge_request(call)?;
    let caller = call.caller.user();
    let has_approved = merge_request.approvals.iter().any(|approval| approval.user == caller);
    let approved_by = merge_request
        .approvals
        .iter()
        .map(|approval| to_json!({ "user": gitlab.basic_user(approval.user), "approved_at": timestamp(approval.approved_at) }));
    let body = to_json!({
        "user_has_approved": has_approved,
        "user_can_approve": !has_approved && gitlab.level(caller) >= 30,
        // where none is required, it is approved from the start
        "approved": true,
        "approved_by": approved_by.collect::<Vec<_>>(),
    });
    Ok(json(200, &body))
}
