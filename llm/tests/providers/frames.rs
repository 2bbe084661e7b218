//! AWS event-stream messages out of text, one a line: `event NAME JSON`, `exception NAME JSON`, `error CODE TEXT`.

/// The bytes as they come over the wire.
pub(crate) fn messages(text: &str) -> Vec<u8> {
    text.lines().flat_map(line).collect()
}

fn line(line: &str) -> Vec<u8> {
    let mut words = line.splitn(3, ' ');
    let (kind, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    match kind {
        "error" => message(&[(":error-code", name), (":error-message", rest), (":message-type", "error")], b""),
        kind => {
            let named = format!(":{kind}-type");
            let headers = [(named.as_str(), name), (":content-type", "application/json"), (":message-type", kind)];
            message(&headers, rest.as_bytes())
        }
    }
}

/// One message; all headers are strings.
pub(crate) fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    for (name, value) in headers {
        written.push(u8::try_from(name.len()).unwrap());
        written.extend_from_slice(name.as_bytes());
        written.push(7);
        written.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        written.extend_from_slice(value.as_bytes());
    }
    framed(&written, payload)
}

/// One message of headers already written.
pub(crate) fn framed(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = u32::try_from(headers.len() + payload.len() + 16).unwrap();
    let mut out = total.to_be_bytes().to_vec();
    out.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
    out.extend_from_slice(&sum(&out));
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(&sum(&out));
    out
}

/// CRC-32 of IEEE 802.3, bit by bit.
fn sum(bytes: &[u8]) -> [u8; 4] {
    let mut state = u32::MAX;
    for byte in bytes {
        state ^= u32::from(*byte);
        for _ in 0..8 {
            state = if state & 1 == 1 { (state >> 1) ^ 0xEDB8_8320 } else { state >> 1 };
        }
    }
    (!state).to_be_bytes()
}
