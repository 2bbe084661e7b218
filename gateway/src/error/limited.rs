//! What a caller reads when a budget or a rate does not let a request pass: which, how much, and until when.

use jiff::Timestamp;
use turnpike_ledger::{
    account::{Unit, window_text},
    engine::{Cause, Refusal},
};
use turnpike_llm::price::nano_to_usd_string;

/// The account, the amounts, and the time at which it starts again.
pub(super) fn message(refusal: &Refusal) -> String {
    let Refusal { account, cause, needed, spent, reserved, resets_at, .. } = refusal;
    let amount = |amount| text(account.unit, amount);
    let what = match account.unit {
        Unit::Parallel => "requests at the same time".to_owned(),
        Unit::NanoUsd | Unit::Tokens | Unit::Requests => {
            let window = window_text(account.window.window(), account.window.window_type());
            format!("{} per {window}", unit(account.unit))
        }
    };
    let pot = if account.subject.is_empty() { String::new() } else { format!(" (pot {})", account.subject) };
    let limit = format!("{}{pot} allows {} {what}", account.owner, amount(account.limit));
    match cause {
        Cause::TooLarge => format!(
            "This request could use up to {}, more than the whole limit: {limit}. Ask for fewer tokens (max_tokens) or send a \
             shorter prompt.",
            amount(*needed)
        ),
        Cause::Unavailable => {
            format!("{limit}, and what is left of it cannot be found out at the moment. Try again shortly.")
        }
        Cause::Exhausted if account.is_rate() => {
            format!("Rate limit reached: {limit}. This request needs {}.", amount(*needed))
        }
        Cause::Exhausted => {
            let reset = resets_at.and_then(|at| Timestamp::from_microsecond(at).ok());
            let reset = reset
                .map_or_else(|| "It does not start again.".to_owned(), |at| format!("It starts again at {at:.0}."));
            format!(
                "Budget exceeded: {limit}; {} are spent or held by requests under way. This request needs up to {}. {reset}",
                amount(spent.saturating_add(*reserved)),
                amount(*needed)
            )
        }
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::NanoUsd => "USD",
        Unit::Tokens => "tokens",
        Unit::Requests | Unit::Parallel => "requests",
    }
}

fn text(unit: Unit, amount: i64) -> String {
    match unit {
        Unit::NanoUsd => nano_to_usd_string(amount),
        Unit::Tokens | Unit::Requests | Unit::Parallel => amount.to_string(),
    }
}
