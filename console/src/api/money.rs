//! Money as `LiteLLM`'s clients send it: floating point USD.

use turnpike_crds::{NanoUsd, UsdString, money::AMOUNT_DECIMALS};

use super::error::ApiError;

/// The amount of a limit, rounded to six decimals.
pub(crate) fn amount(name: &str, number: f64) -> Result<UsdString, ApiError> {
    let rounded = format!("{number:.AMOUNT_DECIMALS$}");
    let text = rounded.trim_end_matches('0').trim_end_matches('.');
    match NanoUsd::parse(text, AMOUNT_DECIMALS) {
        Ok(amount) if amount.0 > 0 => Ok(UsdString(text.to_owned())),
        Ok(_) => {
            let remedy = "no limit can be 0; to stop all use of a key, block it";
            Err(ApiError::field(name, format!("{name} must be above 0: {remedy}")))
        }
        Err(error) => Err(ApiError::field(name, format!("{name}: {error}"))),
    }
}

/// USD as a number, for answers.
pub(crate) fn usd(amount: NanoUsd) -> f64 {
    amount.to_decimal(9).parse().unwrap_or_default()
}

/// The amount of a limit as a number.
pub(crate) fn limit(amount: Option<&UsdString>) -> Option<f64> {
    amount.and_then(|amount| amount.nano().ok()).map(usd)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::amount;

    #[test]
    fn numbers_become_decimals_of_six_places() {
        let text = |number| amount("max_budget", number).map(|usd| usd.0).map_err(|error| error.to_string());
        assert_eq!(text(50.0).unwrap(), "50");
        assert_eq!(text(100.25).unwrap(), "100.25");
        assert_eq!(text(0.1 + 0.2).unwrap(), "0.3");
        assert_eq!(text(1e-6).unwrap(), "0.000001");
        for wrong in [0.0, 1e-9, -1.0, 1e12, f64::NAN] {
            assert!(text(wrong).is_err(), "{wrong}");
        }
    }
}
