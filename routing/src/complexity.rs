//! How hard a prompt is, and who serves it.

use crate::{
    features::Features,
    group::{Complexity, Group, Tier},
};

/// How hard a prompt is. Complex: it has a word that the group calls so, code, or asks for reasoning. Simple: few words, and
/// neither tools, images nor a schema.
pub fn tier(features: &Features, complexity: &Complexity) -> Tier {
    let plain = !features.tools && !features.vision && !features.json_schema;
    if features.complex {
        Tier::Complex
    } else if plain && features.words < complexity.simple_below_words {
        Tier::Simple
    } else {
        Tier::Medium
    }
}

/// The tier that serves a request: the prompt's, else the next one up that has a member, else the next one down. `None` = no
/// member has a tier.
pub(crate) fn serving(
    group: &Group,
    tiers: impl Iterator<Item = Option<Tier>> + Clone,
    features: &Features,
) -> Option<Tier> {
    let wanted = group.complexity.as_ref().map_or(Tier::Medium, |complexity| tier(features, complexity));
    let tiers = tiers.flatten();
    let up = tiers.clone().filter(|tier| *tier >= wanted).min();
    up.or_else(|| tiers.max())
}
