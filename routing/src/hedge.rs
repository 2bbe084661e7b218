//! When a second attempt is started beside a slow first one.

use std::time::Duration;

use crate::group::Group;

/// No second attempt starts sooner.
const SOONEST: Duration = Duration::from_millis(20);

/// How long the first token may take before a second attempt is worth its cost: the group's percentile of the member in the
/// middle, by what was seen of each. Taken over all answers of the group it would follow a member that became slow, and no
/// request that waits for that one would be helped. `None` = not configured, or too little was seen.
pub fn after(group: &Group) -> Option<Duration> {
    let percentile = group.hedge?;
    let seen = |member: &crate::group::Member| member.live.stats.first_token_percentile(percentile);
    let mut usual: Vec<Duration> = group.members.iter().filter_map(seen).collect();
    usual.sort_unstable();
    usual.get(usual.len().saturating_sub(1) / 2).map(|usual| (*usual).max(SOONEST))
}
