//! What one image costs at most, by model. Its size is not known here: it may lie behind a URL.

/// The maximum of Qwen2-VL (`max_pixels` of 16384 × 28 × 28), the largest among common models whose images are not listed.
const UNKNOWN: u64 = 16_384;

/// An image of OpenAI's at high detail is scaled to fit into 2048 × 2048 and then to 768 on its shorter side: at most 4 × 2
/// tiles of 512 × 512, on top of a base.
const fn tiles(base: u64, tile: u64) -> u64 {
    base + 8 * tile
}

/// Or is cut into at most 1536 patches of 32 × 32, multiplied by a factor in hundredths, rounded up.
const fn patches(hundredths: u64) -> u64 {
    (1536 * hundredths).div_ceil(100)
}

/// From OpenAI's guide "Images and vision", section "Calculating costs", and Anthropic's guide "Vision" (4784 tokens for the
/// largest image of the newest models). A name is itself and what follows it after a `-`; the first that fits holds.
const FAMILIES: &[(&str, u64)] = &[
    ("gpt-4o-mini", tiles(2833, 5667)),
    ("gpt-4o", tiles(85, 170)),
    ("chatgpt-4o", tiles(85, 170)),
    ("gpt-4.1-mini", patches(162)),
    ("gpt-4.1-nano", patches(246)),
    ("gpt-4.1", tiles(85, 170)),
    ("gpt-4.5-preview", tiles(85, 170)),
    ("gpt-4-turbo", tiles(85, 170)),
    ("gpt-5-mini", patches(162)),
    ("gpt-5-nano", patches(246)),
    ("gpt-5", tiles(70, 140)),
    ("o1", tiles(75, 150)),
    ("o3", tiles(75, 150)),
    ("o4-mini", patches(172)),
    ("claude", 4784),
];

/// Tokens of the dearest image that the model can be shown.
pub(super) fn dearest(model: &str) -> u64 {
    let name = model.rsplit('/').next().unwrap_or(model);
    let fits = |(family, _): &&(&str, u64)| {
        name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    FAMILIES.iter().find(fits).map_or(UNKNOWN, |(_, tokens)| *tokens)
}
