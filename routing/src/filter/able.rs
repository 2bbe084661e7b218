//! Who can do what a request asks for. Does not change while the request is served.

use super::tags;
use crate::{
    features::Features,
    group::{Group, Member},
    plan::NoMember,
    set::Set,
};

/// Members with any weight that have the request's tags and can do what it needs; what is not known of a member is assumed.
///
/// # Errors
/// There is none; what the last of them lacked.
pub fn able(group: &Group, features: &Features) -> Result<Set, NoMember> {
    let weighty = having(group, &Set::below(group.members.len()), |member| member.weight > 0);
    let nobody = if group.is_cold { NoMember::Cold } else { NoMember::Empty };
    let tagged = tags::having(group, &some(weighty, nobody)?, &features.tags);
    let mut able = some(tagged, NoMember::Tags)?;
    for (name, wanted, can) in needs(features) {
        if wanted {
            able = some(having(group, &able, can), NoMember::Capability(name))?;
        }
    }
    within_window(group, &able, features)
}

/// What a member says of an ability.
type Can = fn(&Member) -> bool;

/// By the names that they have in manifests.
fn needs(features: &Features) -> [(&'static str, bool, Can); 4] {
    [
        ("embeddings", features.embeddings, |member| member.traits.embeddings != Some(false)),
        ("vision", features.vision, |member| member.traits.vision != Some(false)),
        ("tools", features.tools, |member| member.traits.tools != Some(false)),
        ("jsonSchema", features.json_schema, |member| member.traits.json_schema != Some(false)),
    ]
}

/// The size of a prompt is an estimate: where it fits nobody, the largest window is still tried unless the prompt is half as
/// large again. What is wrong with it then says the upstream, which counts.
fn within_window(group: &Group, able: &Set, features: &Features) -> Result<Set, NoMember> {
    let prompt = features.prompt_tokens;
    let fitting = having(group, able, |member| {
        let output = features.output_tokens.unwrap_or_default();
        let output = member.traits.max_output_tokens.map_or(output, |most| output.min(most));
        member.traits.context_window.is_none_or(|window| prompt.saturating_add(output) <= window)
    });
    if !fitting.is_empty() {
        return Ok(fitting);
    }
    let window = |member: &Member| member.traits.context_window.unwrap_or_default();
    let largest = able.iter().filter_map(|index| group.members.get(index)).map(window).max().unwrap_or_default();
    if prompt > largest.saturating_add(largest / 2) {
        return Err(NoMember::ContextWindow(largest));
    }
    Ok(having(group, able, |member| window(member) == largest))
}

fn having(group: &Group, of: &Set, wanted: impl Fn(&Member) -> bool) -> Set {
    of.only(|index| group.members.get(index).is_some_and(&wanted))
}

fn some(set: Set, none: NoMember) -> Result<Set, NoMember> {
    if set.is_empty() { Err(none) } else { Ok(set) }
}
