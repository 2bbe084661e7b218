//! Edits of a scanned object's top-level members.

use bytes::Bytes;

use super::{Splices, assemble::Assembler};
use crate::{
    json::{self, Member, Span},
    request::gateway_only,
};

/// A changed copy of an object in the making. Each edit sees the ones before it, as on a map; members keep their
/// order and new ones go to the end.
#[derive(Debug)]
pub struct Editor<'a> {
    body: &'a Bytes,
    members: &'a [Member],
    /// One for each member; empty until the first edit.
    slots: Vec<Slot>,
    inserted: Vec<(String, Bytes)>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    deleted: bool,
    key: Option<String>,
    value: Option<Bytes>,
}

/// Where a name is found.
#[derive(Clone, Copy)]
enum Place {
    Member(usize),
    Inserted(usize),
}

impl<'a> Editor<'a> {
    /// `members` must come from a scan of `body`.
    pub fn new(body: &'a Bytes, members: &'a [Member]) -> Self {
        Self { body, members, slots: Vec::new(), inserted: Vec::new() }
    }

    /// The present raw value of a member; of the last one where it is there twice.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        match self.find(name)? {
            Place::Inserted(at) => self.inserted.get(at).map(|(_, value)| value.as_ref()),
            Place::Member(at) => match self.slots.get(at).and_then(|slot| slot.value.as_ref()) {
                Some(value) => Some(value),
                None => self.members.get(at).map(|member| member.value.of(self.body)),
            },
        }
    }

    /// Whether the member is there, null or not.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Gives a member a new value (raw JSON, not checked), if it is there; says whether it was. Of several members
    /// with this name one remains.
    pub fn replace(&mut self, name: &str, value: impl Into<Bytes>) -> bool {
        match self.find(name) {
            Some(Place::Inserted(at)) => {
                if let Some((_, old)) = self.inserted.get_mut(at) {
                    *old = value.into();
                }
                true
            }
            Some(Place::Member(at)) => {
                self.delete_others(name, at);
                if let Some(slot) = self.slots.get_mut(at) {
                    slot.value = Some(value.into());
                }
                true
            }
            None => false,
        }
    }

    /// [`Editor::replace`], or a new member at the end.
    pub fn set(&mut self, name: &str, value: impl Into<Bytes>) {
        let value = value.into();
        if !self.replace(name, value.clone()) {
            self.inserted.push((name.to_owned(), value));
        }
    }

    /// [`Editor::set`] to a string.
    pub fn set_string(&mut self, name: &str, text: &str) {
        self.set(name, json::quoted(text));
    }

    /// Removes every member with this name; says whether there was one.
    pub fn delete(&mut self, name: &str) -> bool {
        let mut found = false;
        while let Some(place) = self.find(name) {
            found = true;
            match place {
                Place::Inserted(at) => drop(self.inserted.remove(at)),
                Place::Member(at) => self.delete_at(at),
            }
        }
        found
    }

    /// Gives a member another name. If one with that name is there already it wins, and the renamed one is removed.
    pub fn rename(&mut self, from: &str, to: &str) {
        if from == to {
            return;
        }
        if self.has(to) {
            self.delete(from);
            return;
        }
        match self.find(from) {
            Some(Place::Inserted(at)) => {
                if let Some((name, _)) = self.inserted.get_mut(at) {
                    to.clone_into(name);
                }
            }
            Some(Place::Member(at)) => {
                self.delete_others(from, at);
                if let Some(slot) = self.slots.get_mut(at) {
                    slot.key = Some(to.to_owned());
                }
            }
            None => {}
        }
    }

    /// Removes what is meant for the gateway (see [`gateway_only`]).
    pub fn strip_gateway_only(&mut self) {
        for (at, member) in self.members.iter().enumerate() {
            if gateway_only(&member.name(self.body)) {
                self.delete_at(at);
            }
        }
    }

    /// Sets `stream_options.include_usage`, keeping the other options.
    pub fn ask_for_usage(&mut self) {
        const NAME: &str = "stream_options";
        let options = self.value(NAME).filter(|value| value.first() == Some(&b'{')).map(Bytes::copy_from_slice);
        let asked = options.and_then(|options| {
            let members = json::scan(&options).ok()?;
            let mut editor = Editor::new(&options, &members);
            if editor.value("include_usage") != Some(b"true") {
                editor.set("include_usage", Bytes::from_static(b"true"));
            }
            Some(editor.finish().to_bytes())
        });
        let asked = asked.unwrap_or(Bytes::from_static(b"{\"include_usage\":true}"));
        if self.value(NAME) != Some(&asked) {
            self.set(NAME, asked);
        }
    }

    /// The edited object; the original bytes as one slice where nothing was edited.
    pub fn finish(self) -> Splices {
        if self.slots.is_empty() && self.inserted.is_empty() {
            return Splices::from(self.body.clone());
        }
        let mut out = Assembler::new(self.body);
        let mut first = true;
        // Everything up to the first key, or up to the closing brace of an object without members.
        let mut end = self.members.first().map_or_else(|| self.closing_brace(), |member| member.key.start);
        out.keep(Span { start: 0, end });
        let unchanged = Slot::default();
        for (at, member) in self.members.iter().enumerate() {
            let slot = self.slots.get(at).unwrap_or(&unchanged);
            let separator = Span { start: end, end: member.key.start };
            end = member.value.end;
            if slot.deleted {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.keep(separator);
            }
            match &slot.key {
                Some(key) => out.write(&json::quoted(key)),
                None => out.keep(member.key),
            }
            out.keep(Span { start: member.key.end, end: member.value.start });
            match &slot.value {
                Some(value) => out.share(value),
                None => out.keep(member.value),
            }
        }
        for (name, value) in &self.inserted {
            if !std::mem::take(&mut first) {
                out.write(b",");
            }
            out.write(&json::quoted(name));
            out.write(b":");
            out.share(value);
        }
        out.keep(Span { start: end, end: self.body.len() });
        out.finish()
    }

    fn closing_brace(&self) -> usize {
        memchr::memrchr(b'}', self.body).unwrap_or(self.body.len())
    }

    /// The last member with this name as things stand.
    fn find(&self, name: &str) -> Option<Place> {
        if let Some(at) = self.inserted.iter().rposition(|(inserted, _)| inserted == name) {
            return Some(Place::Inserted(at));
        }
        let at = self.members.iter().enumerate().rposition(|(at, member)| match self.slots.get(at) {
            Some(slot) if slot.deleted => false,
            Some(Slot { key: Some(key), .. }) => key == name,
            _ => member.is(name, self.body),
        })?;
        Some(Place::Member(at))
    }

    fn delete_others(&mut self, name: &str, keep: usize) {
        self.touch();
        for (at, member) in self.members.iter().enumerate() {
            if at != keep
                && let Some(slot) = self.slots.get_mut(at)
                && slot.key.as_ref().map_or_else(|| member.is(name, self.body), |key| key == name)
            {
                slot.deleted = true;
            }
        }
    }

    fn delete_at(&mut self, at: usize) {
        self.touch();
        if let Some(slot) = self.slots.get_mut(at) {
            slot.deleted = true;
        }
    }

    fn touch(&mut self) {
        if self.slots.is_empty() {
            self.slots.resize(self.members.len(), Slot::default());
        }
    }
}
