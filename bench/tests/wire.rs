//! Bodies come out whole however the network cuts them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use bytes::BytesMut;
use turnpike_bench::{
    script::{Answers, Traffic},
    wire::{Decoder, Framing},
};

/// Decodes `wire` given in two parts; what is left behind the body is returned with it.
fn decode(framing: Framing, wire: &[u8], cut: usize) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let mut decoder = Decoder::new(framing);
    let (mut buffer, mut body) = (BytesMut::new(), Vec::new());
    buffer.extend_from_slice(&wire[..cut]);
    let mut done = decoder.decode(&mut buffer, &mut body)?;
    buffer.extend_from_slice(&wire[cut..]);
    if !done {
        done = decoder.decode(&mut buffer, &mut body)?;
    }
    anyhow::ensure!(done, "the body does not end");
    Ok((body, buffer.to_vec()))
}

#[test]
fn a_chunked_body_cut_anywhere_is_the_same() {
    let wire = b"5\r\nhello\r\n7;x=y\r\n, world\r\nA\r\n0123456789\r\n0\r\ntrailer: 1\r\n\r\nHTTP/1.1 200 OK";
    for cut in 0..=wire.len() {
        let (body, rest) = decode(Framing::Chunked, wire, cut).unwrap();
        assert_eq!(body, b"hello, world0123456789", "cut at {cut}");
        assert_eq!(rest, b"HTTP/1.1 200 OK", "cut at {cut}");
    }
}

#[test]
fn a_body_of_known_length_cut_anywhere_is_the_same() {
    for cut in 0..=8 {
        let (body, rest) = decode(Framing::Length(5), b"helloHTT", cut).unwrap();
        assert_eq!((body.as_slice(), rest.as_slice()), (b"hello".as_slice(), b"HTT".as_slice()), "cut at {cut}");
    }
}

#[test]
fn a_chunk_that_lies_about_its_size_is_an_error() {
    for wire in [b"3\r\nhello\r\n0\r\n\r\n".as_slice(), b"x\r\n\r\n", b"\r\n0\r\n\r\n"] {
        assert!(decode(Framing::Chunked, wire, 0).is_err(), "{}", String::from_utf8_lossy(wire));
    }
}

#[test]
fn the_scripted_stream_passes_its_own_check_and_nothing_less_does() {
    let answers = Answers::build();
    let wire = answers.chunks.concat();
    let start = memchr::memmem::find(&wire, b"\r\n\r\n").unwrap() + 4;
    let whole = [&wire[start..], &answers.end].concat();
    let (body, _) = decode(Framing::Chunked, &whole, 0).unwrap();
    Traffic::Burst.check(&body).unwrap();

    let with_usage = [&wire[start..], &answers.usage, &answers.end].concat();
    Traffic::Burst.check(&decode(Framing::Chunked, &with_usage, 0).unwrap().0).unwrap();

    let without_first = [&answers.chunks[1..].concat(), &answers.end[..]].concat();
    assert!(Traffic::Burst.check(&decode(Framing::Chunked, &without_first, 0).unwrap().0).is_err());
    assert!(Traffic::Burst.check(&body[..body.len() - 1]).is_err());
    assert!(Traffic::Plain.check(&body).is_err());
}

#[test]
fn sizes_are_those_of_the_method() {
    let answers = Answers::build();
    let target = "127.0.0.1:1".parse().unwrap();
    assert!((450..=750).contains(&answers.plain.len()), "{}", answers.plain.len());
    assert!(answers.chunks[1..].iter().all(|chunk| (190..=260).contains(&chunk.len())), "{}", answers.chunks[1].len());
    assert_eq!(answers.chunks.len(), 64);
    let request = Traffic::Plain.request(target, "sk-x");
    let body = &request[memchr::memmem::find(&request, b"\r\n\r\n").unwrap() + 4..];
    assert!((230..=330).contains(&body.len()), "{}", body.len());
}
