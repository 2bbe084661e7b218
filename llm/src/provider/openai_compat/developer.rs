//! The role `developer` as `system`, for upstreams that know only the older name.

use bytes::Bytes;

use crate::{
    json::{self, Span},
    splice::Editor,
};

const ROLE: &[u8] = b"\"developer\"";

/// Rewrites the roles of `messages`; whatever is no list of objects is left to the upstream to refuse.
pub(super) fn as_system(edit: &mut Editor<'_>) {
    let Some(messages) = edit.value("messages") else {
        return;
    };
    // Hardly a request has one: a search costs much less than a scan.
    if memchr::memmem::find(messages, ROLE).is_none() {
        return;
    }
    let mut out = Vec::with_capacity(messages.len());
    let mut copied = 0;
    for element in json::elements(messages).unwrap_or_default() {
        let Some(role) = developer(element.of(messages)) else {
            continue;
        };
        let start = element.start.saturating_add(role.start);
        out.extend_from_slice(Span { start: copied, end: start }.of(messages));
        out.extend_from_slice(b"\"system\"");
        copied = element.start.saturating_add(role.end);
    }
    if copied > 0 {
        out.extend_from_slice(messages.get(copied..).unwrap_or_default());
        edit.replace("messages", Bytes::from(out));
    }
}

/// Where the role lies within a message, if it is this one.
fn developer(message: &[u8]) -> Option<Span> {
    let members = json::scan(message).ok()?;
    let role = members.iter().rev().find(|member| member.is("role", message))?;
    (role.value.of(message) == ROLE).then_some(role.value)
}
