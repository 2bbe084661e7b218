//! How busy an engine says it is, in its metrics (Prometheus' text format).

use turnpike_crds::model_deployment::Engine;

use crate::scale::Demand;

/// The gauges of requests that an engine answers, and of those that wait in it.
const fn gauges(engine: Engine) -> (&'static str, &'static str) {
    match engine {
        Engine::Vllm => ("vllm:num_requests_running", "vllm:num_requests_waiting"),
        Engine::LlamaCpp => ("llamacpp:requests_processing", "llamacpp:requests_deferred"),
    }
}

/// What one pod says; `None` = its metrics do not tell, such as with `--disable-log-stats`.
pub fn load(engine: Engine, metrics: &str) -> Option<Demand> {
    let (running, waiting) = gauges(engine);
    Some(Demand { in_flight: sum(metrics, running)?, waiting: sum(metrics, waiting)?, wanted: false })
}

/// All samples of a gauge together: vLLM has one for each of the ranks among which it shares requests.
fn sum(metrics: &str, gauge: &str) -> Option<u64> {
    let samples = metrics.lines().filter_map(|line| sample(line.trim_start().strip_prefix(gauge)?));
    samples.fold(None, |sum, value| Some(sum.unwrap_or(0_u64).saturating_add(value)))
}

/// The value of a line without the name that it begins with; `None` = the name goes on, or no count follows.
fn sample(rest: &str) -> Option<u64> {
    let after = if let Some(labels) = rest.strip_prefix('{') { after_labels(labels)? } else { rest };
    let value = after.starts_with([' ', '\t']).then(|| after.split_whitespace().next())??;
    let value: f64 = value.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative; what is too large saturates"
    )]
    (value.is_finite() && value >= 0.0).then_some(value.round() as u64)
}

/// Behind the brace that ends labels: one within a value does not.
fn after_labels(labels: &str) -> Option<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, character) in labels.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '}' if !is_quoted => return labels.get(at + 1..),
            _ => {}
        }
    }
    None
}
