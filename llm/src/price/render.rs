//! Nano-USD as decimal text, exact.

/// US dollars in decimal notation, exact to the nano-USD, no trailing zeros: `2500` is `0.0000025`, `0` is `0`.
pub fn nano_to_usd_string(nano: i64) -> String {
    let (mut value, mut places) = (nano.unsigned_abs(), 9);
    while places > 0 && value.is_multiple_of(10) {
        value /= 10;
        places -= 1;
    }
    let mut text = decimal(value, places);
    if nano < 0 {
        text.insert(0, '-');
    }
    text
}

/// `value` / 10^`places` with that many places, 18 at most: `1500` with 3 is `1.500`. Answers have several of these, and the
/// formatting machinery takes ten times as long.
pub fn decimal(mut value: u64, places: usize) -> String {
    let least = if places == 0 { 1 } else { places + 2 };
    // The 20 digits of u64::MAX, and a point.
    let mut room = [b'0'; 21];
    let mut left = room.len();
    for (index, byte) in room.iter_mut().rev().enumerate() {
        if value == 0 && index >= least {
            break;
        }
        left -= 1;
        if places > 0 && index == places {
            *byte = b'.';
            continue;
        }
        *byte = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
    let text = room.get(left..).and_then(|text| str::from_utf8(text).ok());
    text.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_their_places_and_a_digit_before_them() {
        assert_eq!(decimal(0, 0), "0");
        assert_eq!(decimal(0, 3), "0.000");
        assert_eq!(decimal(7, 3), "0.007");
        assert_eq!(decimal(1500, 3), "1.500");
        assert_eq!(decimal(u64::MAX, 0), "18446744073709551615");
        assert_eq!(decimal(u64::MAX, 1), "1844674407370955161.5");
        assert_eq!(decimal(u64::MAX, 18), "18.446744073709551615");
    }
}
