//! Usage in a stream: wherever the upstream puts it, a client that asked sees it once, in a chunk of its own without
//! choices, and a client that did not ask does not see it.

use bytes::Bytes;

use super::{OpenAiStream, View, is_object, write_data};
use crate::{
    json,
    price::nano_to_usd_string,
    splice::Editor,
    stream::output::Output,
    usage::{Service, Usage},
};

impl OpenAiStream {
    /// Reads the usage of a chunk and decides where the client sees it.
    pub(super) fn chunk_with_usage(&mut self, view: &View<'_>, out: &mut Output) {
        let (chunk, data) = (view.chunk, view.data);
        let own = chunk.usage.map(|span| span.of(data)).filter(|usage| is_object(usage));
        let Some(reported) = own.or_else(|| groq_usage(chunk.x_groq?.of(data))) else {
            return self.plain_chunk(view, out);
        };
        let service = Service::of(json::member(data, view.members, "service_tier"));
        self.usage = Usage::from_openai(reported).map(|usage| usage.served(service)).or(self.usage);
        let choices = chunk.choices.map(|span| span.of(data)).filter(|choices| *choices != b"null");
        if choices.is_none_or(is_empty_array) && own.is_some() && self.include_usage {
            let usage = self.priced(reported);
            self.held = None;
            return self.edit(view, out, |editor| {
                editor.set("choices", Bytes::from_static(b"[]"));
                editor.set("usage", usage);
            });
        }
        if self.include_usage {
            self.held = Some((Bytes::copy_from_slice(data), Bytes::copy_from_slice(reported)));
        }
        if own.is_none() {
            return self.plain_chunk(view, out);
        }
        if !self.include_usage && choices.is_some_and(is_empty_array) {
            self.kept = false;
            return;
        }
        self.edit(view, out, |editor| {
            editor.delete("usage");
        });
    }

    /// Usage that came beside choices, as the chunk that the client expects.
    pub(super) fn show_held(&mut self, out: &mut Output) {
        let Some((text, reported)) = self.held.take() else {
            return;
        };
        let usage = self.priced(&reported);
        // It was scanned when it came.
        let Ok(members) = json::scan(&text) else {
            return;
        };
        let mut editor = Editor::new(&text, &members);
        editor.replace("model", self.model.clone());
        editor.set("choices", Bytes::from_static(b"[]"));
        editor.set("usage", usage);
        editor.delete("x_groq");
        write_data(out, &editor.finish().to_bytes());
    }

    /// A usage object with its cost, where there is a price.
    fn priced(&self, reported: &[u8]) -> Bytes {
        let text = Bytes::copy_from_slice(reported);
        let cost = self.cost.as_ref().zip(self.usage).and_then(|(cost, usage)| cost(&usage));
        match (cost, json::scan(&text)) {
            (Some(nano), Ok(members)) => {
                let mut editor = Editor::new(&text, &members);
                editor.set("cost", nano_to_usd_string(nano).into_bytes());
                editor.finish().to_bytes()
            }
            _ => text,
        }
    }
}

fn is_empty_array(value: &[u8]) -> bool {
    matches!(value, [b'[', inside @ .., b']'] if inside.trim_ascii().is_empty())
}

/// Groq reports usage in a member of its own.
fn groq_usage(x_groq: &[u8]) -> Option<&[u8]> {
    let members = json::scan(x_groq).ok()?;
    json::member(x_groq, &members, "usage").filter(|usage| is_object(usage))
}
