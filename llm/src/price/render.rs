//! Nano-USD as decimal text, exact.

/// US dollars in decimal notation, exact to the nano-USD, no trailing zeros: `2500` is `0.0000025`, `0` is `0`.
pub fn nano_to_usd_string(nano: i64) -> String {
    const NANO: u64 = 1_000_000_000;
    let sign = if nano < 0 { "-" } else { "" };
    let magnitude = nano.unsigned_abs();
    let (whole, rest) = (magnitude.div_euclid(NANO), magnitude.rem_euclid(NANO));
    if rest == 0 {
        return format!("{sign}{whole}");
    }
    let fraction = format!("{rest:09}");
    format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
}
