//! Functions in `tools` for upstreams that take fewer members of them than OpenAI does.

use bytes::Bytes;

use crate::{json, splice::Editor};

/// Removes these members of every function; whatever is no list of functions is left to the upstream to refuse.
pub(super) fn strip(undeclared: &[&str], edit: &mut Editor<'_>) {
    let Some(tools) = edit.value("tools").filter(|_| !undeclared.is_empty()) else {
        return;
    };
    let mut out = Vec::with_capacity(tools.len());
    let mut copied = 0;
    for element in json::elements(tools).unwrap_or_default() {
        if let Some(tool) = stripped(undeclared, element.of(tools)) {
            out.extend_from_slice(tools.get(copied..element.start).unwrap_or_default());
            out.extend_from_slice(&tool);
            copied = element.end;
        }
    }
    if copied > 0 {
        out.extend_from_slice(tools.get(copied..).unwrap_or_default());
        edit.replace("tools", Bytes::from(out));
    }
}

/// The tool without them; `None` = it has none.
fn stripped(undeclared: &[&str], tool: &[u8]) -> Option<Bytes> {
    let tool = Bytes::copy_from_slice(tool);
    let members = json::scan(&tool).ok()?;
    let function = Bytes::copy_from_slice(json::member(&tool, &members, "function")?);
    let inner = json::scan(&function).ok()?;
    let mut edit = Editor::new(&function, &inner);
    // Not lazily: each is to go.
    let removed = undeclared.iter().filter(|name| edit.delete(name)).count();
    if removed == 0 {
        return None;
    }
    let function = edit.finish().to_bytes();
    let mut edit = Editor::new(&tool, &members);
    edit.replace("function", function);
    Some(edit.finish().to_bytes())
}
