//! Facts in, HTML out. Templates are checked when they are compiled, and escape whatever they are given.

use askama::Template;

use turnpike_ledger::reports::Logged;

use super::facts::{Budgets, Keys, Models, Overview, Requests};

mod amounts;
mod keys;
mod models;
mod overview;
mod requests;

/// The form that everybody sees; `message` says why it is there again.
pub fn sign_in(message: &str) -> String {
    html(&SignIn { message })
}

/// What is going on.
pub fn overview(facts: &Overview) -> String {
    html(&overview::Page::new(facts))
}

/// Models, their backends, routes, and what is wrong with manifests.
pub fn models(facts: &Models) -> String {
    html(&models::Page::new(facts))
}

/// Client keys.
pub fn keys(facts: &Keys) -> String {
    html(&keys::Page::new(facts))
}

/// Budgets and how they stand.
pub fn budgets(facts: &Budgets) -> String {
    html(&amounts::Page::new(facts))
}

/// The newest requests.
pub fn requests(facts: &Requests) -> String {
    html(&requests::Page::new(facts))
}

/// One request; empty where there is none.
pub fn request(id: &str, attempts: &[Logged]) -> String {
    if attempts.is_empty() { String::new() } else { html(&requests::One::new(id, attempts)) }
}

/// There is no such thing.
pub fn missing() -> String {
    html(&Message { title: "Not found", text: "The spend log has no such request (any more)." })
}

/// Facts that cannot be had.
pub fn unavailable(why: &str) -> String {
    html(&Message { title: "Not available", text: why })
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    message: &'a str,
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    title: &'a str,
    text: &'a str,
}

/// Templates write into memory, so that they cannot fail.
fn html(template: &impl Template) -> String {
    template.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a page of the console cannot be rendered");
        String::new()
    })
}

/// A word with a colour that says the same.
struct Badge {
    /// A class of the style sheet: `good`, `warn`, `bad`, `off`.
    tone: &'static str,
    text: String,
}

impl Badge {
    fn new(tone: &'static str, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }
}

/// A moment, for `<time>`.
struct When {
    /// As `datetime` has it.
    machine: String,
    /// In full, UTC.
    full: String,
    /// From now.
    relative: String,
}

impl When {
    fn new(moment: i64, now: i64) -> Self {
        use super::format;
        Self { machine: format::machine(moment), full: format::moment(moment), relative: format::relative(moment, now) }
    }
}
