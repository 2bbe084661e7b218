//! A deliberately plain reader of server-sent events, independent of the gateway's own.

/// One event as a client sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event:` field.
    pub name: Option<String>,
    /// The `data:` lines, joined with newlines.
    pub data: String,
}

impl Event {
    /// The data as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error} in event {:?}", self.data))
    }
}

/// Takes complete events off the front of `buffer`; an unfinished one stays. Lines may end in LF or CRLF.
pub fn take_events(buffer: &mut Vec<u8>) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(end) = blank_line(buffer) {
        let block: Vec<u8> = buffer.drain(..end).collect();
        let text = String::from_utf8(block).expect("an event is UTF-8");
        let mut event = Event::default();
        let mut data = Vec::new();
        for line in text.lines() {
            if let Some(value) = line.strip_prefix("data:") {
                data.push(value.strip_prefix(' ').unwrap_or(value));
            } else if let Some(value) = line.strip_prefix("event:") {
                event.name = Some(value.trim_start().to_owned());
            }
        }
        if !data.is_empty() {
            event.data = data.join("\n");
            events.push(event);
        }
    }
    events
}

/// Where the first blank line ends.
fn blank_line(buffer: &[u8]) -> Option<usize> {
    let mut ends = buffer.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let mut start = 0;
    ends.find(|end| {
        let line = buffer.get(start..*end).unwrap_or_default();
        start = *end;
        matches!(line, b"\n" | b"\r\n")
    })
}
