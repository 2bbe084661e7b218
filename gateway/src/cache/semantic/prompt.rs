//! Cuts a request into its last message's text and all the rest.

use std::borrow::Cow;

use turnpike_llm::{json, provider::Operation, request::Request};

/// Longest text that is compared: about what embedding models take.
const MOST: usize = 24 * 1024;

/// A request in two parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The member that holds the messages.
    pub member: &'static str,
    /// The last message's text.
    pub text: String,
    /// That member's JSON without the text.
    pub rest: Vec<u8>,
}

/// `None`: its last message is not a user's, or is more than text.
pub fn of(operation: Operation, request: &Request) -> Option<Prompt> {
    let member = match operation {
        Operation::Chat | Operation::Messages => "messages",
        Operation::Responses => "input",
        Operation::GenerateContent => "contents",
        _ => return None,
    };
    let value = request.member(member)?;
    let (text, rest) = match json::as_str(value) {
        Some(text) if member == "input" => (text.into_owned(), b"\"\"".to_vec()),
        _ => messages(value)?,
    };
    let text = text.trim();
    (!text.is_empty() && text.len() <= MOST).then(|| Prompt { member, text: text.to_owned(), rest })
}

fn messages(value: &[u8]) -> Option<(String, Vec<u8>)> {
    let elements = json::elements(value).ok()?;
    let (last, before) = elements.split_last()?;
    let (text, without) = message(last.of(value))?;
    let mut rest = vec![b'['];
    for element in before {
        rest.extend_from_slice(element.of(value));
        rest.push(b',');
    }
    rest.extend_from_slice(&without);
    rest.push(b']');
    Some((text, rest))
}

/// The text of a user's message, and the message without its content.
fn message(value: &[u8]) -> Option<(String, Vec<u8>)> {
    let (mut text, mut is_users, mut rest) = (None, false, Vec::new());
    for member in json::scan(value).ok()? {
        let said = member.value.of(value);
        match &*member.name(value) {
            "content" => text = Some(content(said)?),
            "parts" => text = Some(joined(said, said_alone)?),
            name => {
                is_users |= name == "role" && said == br#""user""#;
                rest.push(if rest.is_empty() { b'{' } else { b',' });
                rest.extend_from_slice(member.key.of(value));
                rest.push(b':');
                rest.extend_from_slice(said);
            }
        }
    }
    rest.push(b'}');
    is_users.then_some((text?, rest))
}

fn content(value: &[u8]) -> Option<String> {
    if let Some(text) = json::as_str(value) {
        return Some(text.into_owned());
    }
    joined(value, part)
}

fn joined<'a>(value: &'a [u8], part: impl Fn(&'a [u8]) -> Option<Cow<'a, str>>) -> Option<String> {
    let parts: Option<Vec<Cow<'_, str>>> =
        json::elements(value).ok()?.iter().map(|span| part(span.of(value))).collect();
    Some(parts?.join("\n"))
}

/// The text of a part of Gemini's that is nothing else.
fn said_alone(value: &[u8]) -> Option<Cow<'_, str>> {
    match json::scan(value).ok()?.as_slice() {
        [only] if only.is("text", value) => json::as_str(only.value.of(value)),
        _ => None,
    }
}

/// The text of a part that is nothing else.
fn part(value: &[u8]) -> Option<Cow<'_, str>> {
    let (mut text, mut is_text) = (None, false);
    for member in json::scan(value).ok()? {
        let said = member.value.of(value);
        match &*member.name(value) {
            "type" => is_text = matches!(said, br#""text""# | br#""input_text""#),
            "text" => text = json::as_str(said),
            // Says where the provider's own cache ends.
            "cache_control" => {}
            _ => return None,
        }
    }
    text.filter(|_| is_text)
}
