//! What makes a row odd. An odd row stops the generator until a correction settles it.

use crate::source::{Mode, SourceRow};

/// Each failed check by name (for `keep`) with what is odd.
pub(crate) fn oddities(row: &SourceRow) -> Vec<(&'static str, String)> {
    let mut odd = Vec::new();
    amounts(row, &mut odd);
    caches(row, &mut odd);
    classes(row, &mut odd);
    sizes(row, &mut odd);
    odd
}

type Odd = Vec<(&'static str, String)>;

fn amounts(row: &SourceRow, odd: &mut Odd) {
    let input = row.input_per_million_usd.unwrap_or(0.0);
    let output = row.output_per_million_usd.unwrap_or(0.0);
    if input < 0.0 || output < 0.0 {
        odd.push(("negative-price", format!("{input} / {output}")));
    }
    let is_chat = matches!(row.mode, Mode::Chat | Mode::Responses | Mode::Completion);
    let free = input == 0.0 && row.per_query_usd.unwrap_or(0.0) == 0.0;
    if free || (is_chat && (input == 0.0 || output == 0.0)) {
        odd.push(("zero-price", format!("{input} / {output}")));
    }
    if is_chat && input > output {
        odd.push(("input-above-output", format!("{input} / {output}")));
    }
    if is_chat && output > 13.0 * input && input > 0.0 {
        odd.push(("output-ratio", format!("{input} / {output}")));
    }
    if input > 100.0 || output > 300.0 || (row.mode == Mode::Embedding && input > 1.0) {
        odd.push(("very-dear", format!("{input} / {output}")));
    }
}

fn caches(row: &SourceRow, odd: &mut Odd) {
    let input = row.input_per_million_usd.unwrap_or(0.0);
    let short = row.cache_write_5m_per_million_usd;
    if let Some(cached) = row.cached_input_per_million_usd
        && (cached > input || (cached == 0.0 && input > 0.0))
    {
        odd.push(("cached-input", format!("{cached} of {input}")));
    }
    if let Some(write) = short
        && write < input
    {
        odd.push(("cache-write", format!("{write} of {input}")));
    }
    if let (Some(short), Some(long)) = (short, row.cache_write_1h_per_million_usd)
        && long < short
    {
        odd.push(("cache-write", format!("an hour {long}, 5 minutes {short}")));
    }
}

fn classes(row: &SourceRow, odd: &mut Odd) {
    let cheaper = [
        (row.batch_input_per_million_usd, row.input_per_million_usd),
        (row.batch_output_per_million_usd, row.output_per_million_usd),
        (row.flex_input_per_million_usd, row.input_per_million_usd),
        (row.flex_output_per_million_usd, row.output_per_million_usd),
        (row.input_per_million_usd, row.priority_input_per_million_usd),
        (row.output_per_million_usd, row.priority_output_per_million_usd),
    ];
    for (lower, higher) in cheaper {
        if let (Some(lower), Some(higher)) = (lower, higher)
            && lower > higher
        {
            odd.push(("service-class", format!("{lower} above {higher}")));
        }
    }
    for tier in &row.above_tokens {
        let below = |rate: f64, base: Option<f64>| base.is_some_and(|base| rate < base);
        if below(tier.input_per_million_usd, row.input_per_million_usd)
            || below(tier.output_per_million_usd, row.output_per_million_usd)
        {
            odd.push(("tier", format!("{tier:?}")));
        }
    }
    if row.above_tokens.len() > 1 {
        odd.push(("tier", "more than one: widen price::Row".to_owned()));
    }
}

fn sizes(row: &SourceRow, odd: &mut Odd) {
    if row.max_input_tokens == Some(0) || row.max_output_tokens == Some(0) {
        odd.push(("size", "0 tokens".to_owned()));
    }
    if let (Some(window), Some(output)) = (row.max_input_tokens, row.max_output_tokens)
        && output > window
    {
        odd.push(("size", format!("output {output} above window {window}")));
    }
}
