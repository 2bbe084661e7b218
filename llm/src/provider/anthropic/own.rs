//! Clients that speak Messages themselves: what they say goes on with few changes, and so does what they are answered.

use bytes::Bytes;

use super::{error, wire};
use crate::{
    error::UpstreamError,
    json::{self, Member},
    provider::{Decoded, Operation, Shown, Target},
    request::Request,
    response::{bad_answer, reported},
    splice::{self, Editor, Splices},
    usage::Usage,
};

/// The least budget of thinking that is taken.
const LEAST_BUDGET: u64 = 1024;

/// Members of a request that a count of its tokens does not take.
const NOT_COUNTED: &[&str] =
    &["max_tokens", "metadata", "service_tier", "stop_sequences", "stream", "temperature", "top_k", "top_p"];

/// The request as it goes on.
pub(in crate::provider) fn encode(operation: Operation, request: &Request, target: &Target<'_>) -> Splices {
    let mut edit = request.edit();
    if request.has_gateway_only() {
        edit.strip_gateway_only();
    }
    target.params.apply(&mut edit);
    metadata(&mut edit);
    if operation == Operation::CountTokens {
        for name in NOT_COUNTED {
            edit.delete(name);
        }
    } else {
        limit(&mut edit, target);
    }
    if edit.value("model") != Some(&json::quoted(target.model)) {
        edit.set_string("model", target.model);
    }
    edit.finish()
}

/// Anthropic's holds the user's id and nothing else; the rest is for the gateway's own log.
fn metadata(edit: &mut Editor<'_>) {
    let Some(given) = edit.value("metadata") else { return };
    let members = json::scan(given).unwrap_or_default();
    let id = json::member(given, &members, "user_id").map(<[u8]>::to_vec);
    match id {
        Some(_) if members.len() == 1 => {}
        Some(id) => edit.set("metadata", [b"{\"user_id\":", id.as_slice(), b"}"].concat()),
        None => {
            edit.delete("metadata");
        }
    }
}

/// Lowers `max_tokens` to what is allowed, and with it the budget of thinking, which has to stay below; sets it where it is
/// missing and required.
fn limit(edit: &mut Editor<'_>, target: &Target<'_>) {
    let asked = edit.value("max_tokens").and_then(json::as_count);
    let most = match (target.max_output_tokens, asked) {
        (Some(most), Some(asked)) if asked > most => most,
        (_, Some(_)) => return,
        (Some(most), None) => most,
        (None, None) => super::default_limit(target),
    };
    edit.set("max_tokens", most.to_string());
    let Some(thinking) = edit.value("thinking").map(Bytes::copy_from_slice) else { return };
    let members = json::scan(&thinking).unwrap_or_default();
    let budget = json::member(&thinking, &members, "budget_tokens").and_then(json::as_count);
    match budget {
        Some(budget) if budget >= most && most > LEAST_BUDGET => {
            let mut edited = Editor::new(&thinking, &members);
            edited.set("budget_tokens", most.saturating_sub(1).to_string());
            edit.set("thinking", edited.finish().to_bytes());
        }
        Some(budget) if budget >= most => {
            edit.delete("thinking");
        }
        _ => {}
    }
}

/// A whole answer as the client is to see it.
///
/// # Errors
/// The upstream's fault.
pub(super) fn decode(operation: Operation, body: &Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
    let members = json::scan(body).map_err(|error| bad_answer(&error))?;
    let value = |name: &str| json::member(body, &members, name);
    if operation == Operation::CountTokens && value("input_tokens").is_some() {
        return Ok(Decoded { body: Splices::from(body.clone()), usage: Some(Usage::default()) });
    }
    match value("type") {
        Some(b"\"message\"") if operation != Operation::CountTokens => {}
        Some(b"\"error\"") => return Err(error::within(body)),
        _ if value("error").is_some() => return Err(reported(body)),
        _ => return Err(bad_answer(&"it is no message")),
    }
    let usage = value("usage").and_then(usage);
    Ok(Decoded { body: with_model(body, &members, shown), usage })
}

/// A message with the model's shown name.
pub(super) fn with_model(message: &Bytes, members: &[Member], shown: &Shown) -> Splices {
    let model = json::quoted(&shown.model);
    match members.iter().find(|member| member.is("model", message)) {
        Some(named) if named.value.of(message) != model => splice::replaced(message, named.value, &model.into()),
        _ => Splices::from(message.clone()),
    }
}

fn usage(reported: &[u8]) -> Option<Usage> {
    serde_json::from_slice::<wire::Usage>(reported).ok()?.normal()
}
