//! Answers of every dialect to clients of every dialect: all that was said is heard, whole and streamed, with its usage.

use proptest::prelude::*;
use turnpike_llm::provider::{Operation, ProviderKind};

use super::{Said, clients, said, shown_to, streamed, upstreams};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whole(
        said in said(),
        kind in proptest::sample::select(upstreams::KINDS),
        operation in proptest::sample::select(clients::OPERATIONS),
    ) {
        let decoded = kind.adapter().unwrap().decode(operation, upstreams::whole(kind, &said), &shown_to(operation)).unwrap();
        let usage = decoded.usage.unwrap();
        prop_assert_eq!((usage.prompt, usage.completion), said.tokens);
        let answer = serde_json::from_slice(&decoded.body.to_bytes()).unwrap();
        prop_assert_eq!(clients::whole(operation, &answer), said);
    }

    #[test]
    fn in_pieces(
        said in said(),
        kind in proptest::sample::select(upstreams::KINDS),
        operation in proptest::sample::select(clients::OPERATIONS),
        size in 1..300_usize,
    ) {
        let (heard, usage) = streamed(kind, operation, &upstreams::streamed(kind, &said), size);
        let usage = usage.unwrap();
        prop_assert_eq!((usage.prompt, usage.completion), said.tokens);
        prop_assert_eq!(clients::streamed(operation, &heard), said);
    }
}

#[test]
fn something_lost_is_noticed() {
    let said = Said { thought: "Hm.".into(), text: "Yes.".into(), calls: Vec::new(), tokens: (1, 2) };
    let without = Said { thought: String::new(), ..said.clone() };
    let answer = upstreams::whole(ProviderKind::VLLM, &without);
    let heard = clients::whole(Operation::Chat, &serde_json::from_slice(&answer).unwrap());
    assert_ne!(heard, said);
}
