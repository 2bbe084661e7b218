//! What a caller reads when no backend behind a name can take its request.

use turnpike_routing::plan::NoMember;

/// Which model, and what it lacks.
pub(super) fn message(name: &str, lacking: NoMember) -> String {
    match lacking {
        NoMember::Capability(what) => {
            format!("No backend of the model `{name}` supports what the request asks for: {what}. Use another model.")
        }
        NoMember::ContextWindow(most) => format!(
            "The request is larger than the context of the model `{name}` ({most} tokens at most). Shorten it, or use another \
             model."
        ),
        NoMember::Tags => format!(
            "No backend of the model `{name}` has the tags that the request asks for. Change the tags, or ask whoever runs the \
             gateway."
        ),
        NoMember::Busy => {
            format!("All backends of the model `{name}` have as many requests as they take. Try again shortly.")
        }
        NoMember::Cooling => format!("All backends of the model `{name}` failed lately. Try again shortly."),
        NoMember::Cold => {
            format!("The model `{name}` is starting: no replica of it takes requests yet. Try again in some seconds.")
        }
        NoMember::Empty => format!("No backend of the model `{name}` takes requests at the moment."),
    }
}
