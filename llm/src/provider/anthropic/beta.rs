//! `anthropic-beta`: features that are only served to who names them.

use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;

use crate::json;

/// A tool's `type`, and what it needs.
const TOOLS: &[(&str, &str)] = &[
    ("computer_20241022", "computer-use-2024-10-22"),
    ("text_editor_20241022", "computer-use-2024-10-22"),
    ("bash_20241022", "computer-use-2024-10-22"),
    ("computer_20250124", "computer-use-2025-01-24"),
    ("computer_20251124", "computer-use-2025-11-24"),
    ("code_execution_20250522", "code-execution-2025-05-22"),
    ("code_execution_20250825", "code-execution-2025-08-25"),
    ("web_fetch_20250910", "web-fetch-2025-09-10"),
    ("memory_20250818", "context-management-2025-06-27"),
    ("mcp_toolset", "mcp-client-2025-11-20"),
];

/// A member of the request, and what it needs.
const MEMBERS: &[(&str, &str)] = &[
    ("context_management", "context-management-2025-06-27"),
    ("mcp_servers", "mcp-client-2025-11-20"),
    ("output_format", "structured-outputs-2025-11-13"),
    ("speed", "fast-mode-2026-02-01"),
];

/// Files by id.
const FILES: &str = "files-api-2025-04-14";

/// The features that one request uses.
#[derive(Debug, Default)]
pub(crate) struct Betas(Vec<&'static str>);

impl Betas {
    /// A tool in Anthropic's words.
    pub(super) fn tool(&mut self, tool: &RawValue) {
        let text = tool.get().as_bytes();
        let members = json::scan(text).unwrap_or_default();
        let kind = json::member(text, &members, "type").and_then(json::as_str).unwrap_or_default();
        self.find(TOOLS, &kind);
    }

    /// A member that the client meant for Anthropic.
    pub(super) fn member(&mut self, name: &str) {
        self.find(MEMBERS, name);
    }

    /// A file by its id.
    pub(super) fn file(&mut self) {
        self.add(FILES);
    }

    /// The header, if there is anything to say.
    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let value = HeaderValue::try_from(self.0.join(",")).ok().filter(|value| !value.is_empty())?;
        Some((HeaderName::from_static("anthropic-beta"), value))
    }

    fn find(&mut self, table: &[(&str, &'static str)], name: &str) {
        if let Some((_, beta)) = table.iter().find(|(known, _)| *known == name) {
            self.add(beta);
        }
    }

    fn add(&mut self, beta: &'static str) {
        if !self.0.contains(&beta) {
            self.0.push(beta);
        }
    }
}
