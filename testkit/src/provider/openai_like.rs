//! Providers that copied `OpenAI`'s dialect and take less of it, or other words: one row of rules each, and no code.
//!
//! The rows say what the providers' API references and their own error messages say. What no reference forbids is taken.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Asked, Dialect, rows};
use crate::upstream::{Parts, Refusal, Say, answer, strict};

/// One provider's rules.
#[derive(Debug)]
pub struct OpenAiLike {
    /// `spec.provider.type`.
    pub kind: &'static str,
    /// A chat model that it serves, as a manifest names it.
    pub model: &'static str,
    /// What its base URL has after the host.
    pub base: &'static str,
    /// Where chats are posted, after the base URL.
    pub chats: &'static str,
    pub(super) key: Key,
    pub(super) members: Members,
    /// Only one answer to a request.
    pub(super) one_choice: bool,
    /// Words of `tool_choice`.
    pub(super) tool_choices: &'static [&'static str],
    pub(super) roles: &'static [&'static str],
    pub(super) order: Order,
    /// Ids of calls are nine letters and digits.
    pub(super) short_ids: bool,
    /// Members that messages of a role must not have; an empty role stands for all.
    pub(super) unread: &'static [(&'static str, &'static str)],
    /// Types of content's parts; none = a text only.
    pub(super) parts: &'static [&'static str],
    /// Members of functions in `tools`; empty = any.
    pub(super) functions: &'static [&'static str],
    /// Types of `response_format`.
    pub(super) formats: &'static [&'static str],
    /// Under which status a member or a value is refused.
    pub(super) status: StatusCode,
}

/// Where the key is.
#[derive(Debug)]
pub(super) enum Key {
    Bearer,
    /// In this header.
    Header(&'static str),
}

/// Which members a chat may have.
#[derive(Debug)]
pub(super) enum Members {
    /// No others than these.
    Only(&'static [&'static str]),
    /// All but these.
    But(&'static [&'static str]),
}

/// Who may speak after whom.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    Any,
    /// The user or a tool has the last word, and no user follows a tool.
    Asked,
    /// After system messages, user and assistant in turn, the user first and last.
    InTurn,
}

impl OpenAiLike {
    /// All of them.
    pub const ALL: &'static [Self] = rows::ALL;

    fn bad(&self, message: impl Into<String>) -> Refusal {
        Refusal { status: self.status, message: message.into(), code: None }
    }

    fn members(&self, body: &Map<String, Value>) -> Result<(), Refusal> {
        let is_foreign = |name: &&String| match self.members {
            Members::Only(known) => !known.contains(&name.as_str()),
            Members::But(refused) => refused.contains(&name.as_str()),
        };
        match body.keys().find(is_foreign) {
            Some(name) => Err(self.bad(format!("Extra inputs are not permitted, field: '{name}'"))),
            None => Ok(()),
        }
    }

    fn values(&self, body: &Value) -> Result<(), Refusal> {
        let choices = body.get("n").and_then(Value::as_u64).unwrap_or(1);
        if self.one_choice && choices != 1 {
            return Err(self.bad("'n' : number must be at most 1"));
        }
        if let Some(word) =
            body.get("tool_choice").and_then(Value::as_str).filter(|word| !self.tool_choices.contains(word))
        {
            return Err(self.bad(format!("Invalid value for 'tool_choice': '{word}'")));
        }
        let format = body.pointer("/response_format/type").and_then(Value::as_str);
        if let Some(kind) = format.filter(|kind| !self.formats.contains(kind)) {
            return Err(self.bad(format!("This response_format type is unavailable now: '{kind}'")));
        }
        let streams = body.get("stream").and_then(Value::as_bool) == Some(true);
        if body.get("stream_options").is_some() && !streams {
            return Err(self.bad("'stream_options' is only allowed when 'stream' is enabled"));
        }
        let functions = list(body.get("tools")).iter().filter_map(|tool| tool.get("function")?.as_object());
        let foreign = functions.flat_map(Map::keys).find(|name| !self.functions.contains(&name.as_str()));
        match foreign.filter(|_| !self.functions.is_empty()) {
            Some(name) => Err(self.bad(format!("Extra inputs are not permitted, field: 'tools[0].function.{name}'"))),
            None => Ok(()),
        }
    }

    fn message(&self, message: &Value) -> Result<(), Refusal> {
        let role = role(message);
        if !self.roles.contains(&role) {
            return Err(self.bad(format!("Input should be one of {:?}: role '{role}'", self.roles)));
        }
        let has = |(whose, name): &&(&str, &str)| (whose.is_empty() || *whose == role) && message.get(*name).is_some();
        if let Some((_, name)) = self.unread.iter().find(has) {
            return Err(self.bad(format!("property '{name}' is unsupported in messages of role '{role}'")));
        }
        let Some(Value::Array(parts)) = message.get("content") else {
            return Ok(());
        };
        let kind = |part: &Value| part.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        match parts.iter().map(kind).find(|kind| !self.parts.contains(&kind.as_str())) {
            Some(kind) => Err(self.bad(format!("Failed to deserialize messages: unknown content type '{kind}'"))),
            None if self.parts.is_empty() => Err(self.bad("messages: content must be a string")),
            None => Ok(()),
        }
    }

    fn ids(&self, message: &Value) -> Result<(), Refusal> {
        let called = list(message.get("tool_calls")).iter().filter_map(|call| call.get("id"));
        let mut ids = called.chain(message.get("tool_call_id")).filter_map(Value::as_str);
        let fits = |id: &&str| id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match ids.find(|id| self.short_ids && !fits(id)) {
            Some(id) => {
                let why = format!("Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9.");
                Err(Refusal { status: StatusCode::BAD_REQUEST, ..self.bad(why) })
            }
            None => Ok(()),
        }
    }

    fn order(&self, messages: &[Value]) -> Result<(), Refusal> {
        let wrong = |message: String| Err(Refusal::bad(message));
        match self.order {
            Order::Any => Ok(()),
            Order::Asked => {
                let after_a_tool = messages.windows(2).any(|pair| match pair {
                    [before, after] => role(before) == "tool" && role(after) == "user",
                    _ => false,
                });
                if after_a_tool {
                    return wrong("Unexpected role 'user' after role 'tool'".to_owned());
                }
                match messages.last() {
                    Some(last) if matches!(role(last), "user" | "tool") || last.get("prefix") == Some(&json!(true)) => {
                        Ok(())
                    }
                    last => wrong(format!(
                        "Expected last role User or Tool (or Assistant with prefix True) for serving but got {}",
                        last.map(role).unwrap_or_default()
                    )),
                }
            }
            Order::InTurn => {
                let turns: Vec<&str> = messages.iter().map(role).skip_while(|role| *role == "system").collect();
                let expected = ["user", "assistant"].into_iter().cycle();
                if turns.iter().zip(expected).any(|(role, expected)| *role != expected) {
                    return wrong(
                        "After the (optional) system message(s), user and assistant roles should be alternating."
                            .to_owned(),
                    );
                }
                if turns.len().is_multiple_of(2) {
                    return wrong("Last message must have role `user`.".to_owned());
                }
                Ok(())
            }
        }
    }
}

impl Dialect for OpenAiLike {
    fn authenticate(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let sent = match self.key {
            Key::Bearer => asked.bearer(),
            Key::Header(name) => asked.header(name),
        };
        if asked.has_key(sent) { Ok(()) } else { Err(Refusal::key("Unauthorized", "invalid_api_key")) }
    }

    fn check(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let path = asked.path.strip_prefix(self.base).and_then(|path| path.strip_prefix(self.chats));
        if path != Some("") {
            return Err(Refusal::not_found(format!("no route {}", asked.path)));
        }
        strict::body(asked.path, asked.body)?;
        let body = asked.body.as_object().ok_or_else(|| self.bad("the body must be a JSON object"))?;
        self.members(body)?;
        self.values(asked.body)?;
        let messages = list(body.get("messages"));
        messages.iter().try_for_each(|message| self.message(message))?;
        messages.iter().try_for_each(|message| self.ids(message))?;
        self.order(messages)
    }

    fn answer(&self, asked: &Asked<'_>, say: &Say) -> Parts {
        answer::natural(say, asked.path, asked.body)
    }

    fn error(&self, refusal: &Refusal) -> Value {
        refusal.body()
    }
}

fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
