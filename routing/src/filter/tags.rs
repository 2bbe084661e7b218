//! Tags of a request against those of members: data residency, compliance, classes of service.
//!
//! ```text
//!  request's tag   members that stay
//!  &eu             those with `eu`, always; several of them must all be there
//!  !beta           those without `beta`
//!  hipaa           those with any of the plain tags; where nobody has one, those tagged `default`; where there are none, none
//!  no plain tag    those tagged `default`; where there are none, all that do not restrict themselves
//! ```
//! A group where no member has a tag takes plain tags as labels for reports: they choose nothing there. A member of a route
//! whose target has tags takes only requests that carry one of them.

use crate::{
    group::{Group, Member},
    set::Set,
};

/// Members with this tag take what no tag sends elsewhere.
const DEFAULT: &str = "default";

/// Those of `of` that the tags leave.
pub(super) fn having(group: &Group, of: &Set, tags: &[Box<str>]) -> Set {
    let only =
        |of: &Set, wanted: &dyn Fn(&Member) -> bool| of.only(|index| group.members.get(index).is_some_and(wanted));
    let allowed = only(of, &|member| tags.iter().all(|tag| allows(member, tag)));
    let tagged = group.members.iter().any(|member| !member.tags.is_empty() || !member.traits.tags.is_empty());
    if !tagged {
        return allowed;
    }
    let mut plain = tags.iter().map(|tag| &**tag).filter(|tag| is_plain(tag)).peekable();
    if plain.peek().is_some() {
        let any = only(&allowed, &|member| {
            let has_one = tags.iter().any(|tag| is_plain(tag) && has(member, tag));
            has_one && takes(member, tags)
        });
        return if any.is_empty() { only(&allowed, &|member| has(member, DEFAULT)) } else { any };
    }
    let default = only(&allowed, &|member| has(member, DEFAULT));
    if default.is_empty() { only(&allowed, &|member| takes(member, tags)) } else { default }
}

fn is_plain(tag: &str) -> bool {
    !tag.starts_with(['&', '!'])
}

fn has(member: &Member, tag: &str) -> bool {
    member.traits.tags.iter().chain(&member.tags).any(|own| **own == *tag)
}

/// What `&tag` and `!tag` say of a member.
fn allows(member: &Member, tag: &str) -> bool {
    match (tag.strip_prefix('&'), tag.strip_prefix('!')) {
        (Some(required), _) => has(member, required),
        (None, Some(excluded)) => !has(member, excluded),
        (None, None) => true,
    }
}

/// Whether a target's own tags let the request in.
fn takes(member: &Member, tags: &[Box<str>]) -> bool {
    let carried = |own: &str| tags.iter().any(|tag| tag.strip_prefix('&').unwrap_or(tag) == own);
    member.tags.is_empty() || member.tags.iter().any(|own| carried(own))
}
