//! Prices for each token and budgets, as floating point has them, to decimal strings in USD.

use std::iter::repeat_n;

use turnpike_crds::{
    PriceString,
    model_deployment::{Price, ProviderType},
    money::{AMOUNT_DECIMALS, PRICE_DECIMALS, UsdString},
};
use turnpike_llm::price::{self, nano_to_usd_string};
use turnpike_llm::provider::ProviderKind;

use super::section::{Context, Section};

/// Millions are 10 to this.
const MILLION: usize = 6;

/// Where a rate goes, and whether it is one for a token.
type Rate = (&'static str, fn(&mut Price) -> &mut Option<PriceString>, usize);

const RATES: [Rate; 5] = [
    ("input_cost_per_token", |price| &mut price.input_per_million, MILLION),
    ("output_cost_per_token", |price| &mut price.output_per_million, MILLION),
    ("cache_read_input_token_cost", |price| &mut price.cached_input_per_million, MILLION),
    ("input_cost_per_request", |price| &mut price.per_request, 0),
    ("input_cost_per_query", |price| &mut price.per_query, 0),
];

/// The rates of a deployment, from its parameters or its information.
pub(super) fn price(params: &mut Section<'_>, info: &mut Section<'_>, context: &mut Context<'_>) -> Option<Price> {
    let mut price = Price::default();
    for (name, field, shift) in RATES {
        let own = rate(params, name, shift, context);
        // Both are asked, so that neither counts as unknown.
        let noted = rate(info, name, shift, context);
        *field(&mut price) = own.or(noted);
    }
    (price != Price::default()).then_some(price)
}

fn rate(section: &mut Section<'_>, name: &str, shift: usize, context: &mut Context<'_>) -> Option<PriceString> {
    let number = section.number(name, context)?;
    let text = decimal(number, shift, PRICE_DECIMALS);
    if text.is_none() {
        context.hand(section.path(name), "this is too large for a price, and was left out; correct it");
    }
    text.map(PriceString)
}

/// An amount of a budget. `None` = reported.
pub(super) fn amount(section: &mut Section<'_>, name: &str, context: &mut Context<'_>) -> Option<UsdString> {
    let number = section.number(name, context)?;
    if number == 0.0 {
        context.left(section.path(name), "no budget can be 0; suspend the keys to stop all use");
        return None;
    }
    let text = decimal(number, 0, AMOUNT_DECIMALS);
    if text.is_none() {
        context.hand(section.path(name), "this is too large for a budget, and was left out; correct it");
    }
    text.map(UsdString)
}

/// What the built-in table has for a model of this name, as a price of one's own.
pub(super) fn of_base_model(model: &str) -> Option<Price> {
    let bare = model.rsplit('/').next().unwrap_or(model);
    let row =
        [ProviderKind::AzureOpenAI, ProviderKind::OpenAI].into_iter().find_map(|kind| price::lookup(kind, bare, None));
    let known = row?.price();
    let text = |nano| PriceString(nano_to_usd_string(nano));
    Some(Price {
        input_per_million: Some(text(known.input)),
        output_per_million: Some(text(known.output)),
        cached_input_per_million: known.cached_input.map(text),
        ..Price::default()
    })
}

/// Nothing, said explicitly: `LiteLLM` counts 0 for what it knows no price of, which only servers of one's own are.
pub(super) fn free(kind: ProviderType, base_url: Option<&str>) -> Option<Price> {
    let own = match kind {
        ProviderType::Ollama | ProviderType::Vllm | ProviderType::HuggingFaceTgi => true,
        ProviderType::OpenAICompatible => base_url.is_some_and(|url| url.starts_with("http://")),
        _ => false,
    };
    let nothing = || Some(PriceString("0".to_owned()));
    own.then(|| Price { input_per_million: nothing(), output_per_million: nothing(), ..Price::default() })
}

/// `number` x 10^`shift` with at most so many decimals, rounded up; exact where they suffice. `None` = a billion or more.
fn decimal(number: f64, shift: usize, places: usize) -> Option<String> {
    // The shortest text that reads as the same number: what people wrote.
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e')?;
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let point = exponent.parse::<i64>().ok()?.checked_add(1 + i64::try_from(shift).ok()?)?;
    let before = usize::try_from(point.max(0)).ok()?;
    let leading = usize::try_from((-point).max(0)).ok()?;
    if before > 9 && number != 0.0 {
        return None;
    }
    // All digits, the point before the last `places` of them.
    let wanted = before + places;
    let mut scaled: String = repeat_n('0', leading).chain(digits.chars()).collect();
    let is_cut = scaled.chars().skip(wanted).any(|digit| digit != '0');
    scaled = scaled.chars().chain(repeat_n('0', wanted)).take(wanted).collect();
    let units = scaled.parse::<u64>().ok()?.checked_add(u64::from(is_cut))?;
    let text = price::decimal(units, places);
    Some(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn numbers_become_the_decimals_that_people_wrote() {
        let millions = |number| decimal(number, 6, 9).unwrap_or_default();
        assert_eq!(
            [millions(0.000_002_5), millions(1e-5), millions(0.0), millions(7.5e-8), millions(0.3)],
            ["2.5", "10", "0", "0.075", "300000"]
        );
        assert_eq!(decimal(1.0 / 3.0, 0, 6).as_deref(), Some("0.333334"));
        assert_eq!(decimal(1e-12, 0, 6).as_deref(), Some("0.000001"));
        assert_eq!(decimal(50.0, 0, 6).as_deref(), Some("50"));
        assert_eq!(decimal(100.25, 0, 6).as_deref(), Some("100.25"));
        assert_eq!(decimal(1e12, 0, 6), None);
    }
}
