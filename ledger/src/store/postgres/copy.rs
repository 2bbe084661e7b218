//! Rows in the text format of COPY: tabs between columns, `\N` for NULL, a backslash before what has a meaning.

use std::fmt::{Display, Write as _};

use jiff::civil::Date;

use crate::{
    spend_log::SpendRow,
    store::{rollup, text},
};

/// Columns of `spend_row`, in the order of [`encode`].
pub(super) const COLUMNS: &str = "day, incarnation, sequence, started_at_us, request_id, key_id, team, \"user\", end_user, \
    requested_model, model, provider, upstream_model, operation, stream, status, outcome, prompt_tokens, \
    completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, cost_nano, estimated, first_byte_us, \
    latency_us, upstream_us, tags, metadata, attempt, attempts, role";

/// The day of a row, UTC. Times that no calendar has are put to its ends.
pub(super) fn date(days: i64) -> Date {
    let span = jiff::Span::new().try_days(days);
    span.and_then(|span| Date::constant(1970, 1, 1).checked_add(span)).unwrap_or(Date::constant(1970, 1, 1))
}

/// All rows, one a line.
pub(super) fn encode(rows: &[SpendRow]) -> String {
    let mut text = String::with_capacity(rows.len() * 320);
    for row in rows {
        encode_row(row, &mut text);
    }
    text
}

fn encode_row(row: &SpendRow, text: &mut String) {
    let mut line = Line { text, first: true };
    line.plain(date(rollup::day(row)));
    line.plain(row.event.incarnation);
    line.count(row.event.sequence);
    line.plain(row.started_at_us);
    line.text(&row.request_id);
    line.text(&row.key_id);
    line.maybe_text(row.team.as_deref());
    line.maybe_text(row.user.as_deref());
    line.maybe_text(row.end_user.as_deref());
    line.text(&row.requested_model);
    line.maybe_text(row.model.as_deref());
    line.maybe_text(row.provider);
    line.maybe_text(row.upstream_model.as_deref());
    line.text(row.operation);
    line.plain(row.stream);
    line.plain(row.status);
    line.text(row.outcome);
    line.count(row.prompt_tokens);
    line.count(row.completion_tokens);
    line.count(row.cached_tokens);
    line.count(row.cache_write_tokens);
    line.count(row.reasoning_tokens);
    line.maybe(row.cost_nano);
    line.plain(row.estimated);
    line.maybe(row.first_byte_us);
    line.plain(row.latency_us);
    line.maybe(row.upstream_us);
    line.maybe_text(row.tags.as_deref().and_then(text::json).as_deref());
    line.maybe_text(row.metadata.as_deref().and_then(text::json).as_deref());
    line.plain(row.attempt.number);
    line.plain(row.attempt.of);
    line.maybe_text(row.attempt.role.as_str());
    line.text.push('\n');
}

struct Line<'t> {
    text: &'t mut String,
    first: bool,
}

impl Line<'_> {
    fn next(&mut self) {
        if !self.first {
            self.text.push('\t');
        }
        self.first = false;
    }

    /// What has nothing to escape.
    fn plain(&mut self, value: impl Display) {
        self.next();
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{value}");
    }

    /// PostgreSQL counts in i64; no count of ours comes near its end.
    fn count(&mut self, count: u64) {
        self.plain(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn maybe(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.plain(value),
            None => self.null(),
        }
    }

    fn maybe_text(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    fn null(&mut self) {
        self.next();
        self.text.push_str("\\N");
    }

    fn text(&mut self, value: &str) {
        self.next();
        for character in text::clean(value).chars() {
            match character {
                '\\' => self.text.push_str("\\\\"),
                '\t' => self.text.push_str("\\t"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                other => self.text.push(other),
            }
        }
    }
}
