//! Amounts as text.

use proptest::prelude::*;
use turnpike_llm::price::nano_to_usd_string;

#[test]
fn exact_and_trimmed() {
    for (nano, text) in [
        (0, "0"),
        (1, "0.000000001"),
        (2_500, "0.0000025"),
        (10_000_000, "0.01"),
        (1_000_000_000, "1"),
        (-1_500_000_000, "-1.5"),
        (i64::MAX, "9223372036.854775807"),
        (i64::MIN, "-9223372036.854775808"),
    ] {
        assert_eq!(nano_to_usd_string(nano), text);
    }
}

proptest! {
    #[test]
    fn reads_back(nano in any::<i64>()) {
        let text = nano_to_usd_string(nano);
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let joined = format!("{whole}{fraction:0<9}");
        prop_assert_eq!(joined.parse::<i64>().unwrap(), nano);
    }
}
