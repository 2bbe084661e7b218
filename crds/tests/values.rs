//! Parsing of the texts in manifests: durations, money, model patterns, key ids and hashes.

use std::time::Duration;

use turnpike_crds::{
    DurationError, DurationString, KeyHash, KeyId, ModelPattern, MoneyError, NameError, NanoUsd, PriceString,
    RotationError, Schedule, UsdString, model_deployment::Timeouts, virtual_key::Rotation,
};

#[test]
fn durations_add_their_parts() {
    let seconds = |text: &str| DurationString::from(text).parse().map(|duration| duration.as_secs());
    assert_eq!(seconds("30s"), Ok(30));
    assert_eq!(seconds("0s"), Ok(0));
    assert_eq!(seconds("720h"), Ok(720 * 3600));
    assert_eq!(seconds("1h30m5s"), Ok(5405));
    assert_eq!(seconds("1s1s"), Ok(2));
    for bad in ["", "s", "5", "5 s", "-5s", "1.5h", "5ms", "5d", "5S", "5s ", "1h5"] {
        assert_eq!(seconds(bad), Err(DurationError::Format(bad.to_owned())));
    }
    for long in ["99999999999999999999s", "5200000000000000000h", "18446744073709551615s1s"] {
        assert_eq!(seconds(long), Err(DurationError::TooLong(long.to_owned())));
    }
}

#[test]
fn timeouts_have_the_documented_defaults() {
    let timeouts = Timeouts { idle: Some("2m".into()), total: Some("soon".into()), ..Timeouts::default() };
    assert_eq!(timeouts.connect(), Ok(Duration::from_secs(5)));
    assert_eq!(timeouts.first_byte(), Ok(Duration::from_mins(5)));
    assert_eq!(timeouts.idle(), Ok(Duration::from_mins(2)));
    assert!(timeouts.total().is_err());
    assert_eq!(Timeouts::default().total(), Ok(Duration::from_mins(10)));
}

#[test]
fn a_rotation_has_an_overlap_that_ends_before_the_next() {
    let schedule = |interval: &str, overlap: Option<&str>| {
        Rotation { interval: interval.into(), overlap: overlap.map(Into::into) }
            .schedule()
            .map(|Schedule { interval, overlap }| (interval.unwrap().as_secs(), overlap.as_secs()))
    };
    assert_eq!(schedule("720h", None), Ok((720 * 3600, 24 * 3600)));
    assert_eq!(schedule("24h", None), Ok((24 * 3600, 12 * 3600)));
    assert_eq!(schedule("1m", Some("0s")), Ok((60, 0)));
    assert_eq!(schedule("2h", Some("119m")), Ok((7200, 7140)));
    assert_eq!(schedule("1h", Some("60m")), Err(RotationError::OverlapTooLong));
    assert_eq!(schedule("59s", None), Err(RotationError::TooShort));
    assert!(matches!(schedule("often", None), Err(RotationError::Interval(_))));
    assert!(matches!(schedule("1h", Some("some")), Err(RotationError::Overlap(_))));
    assert_eq!(Schedule::default(), Schedule { interval: None, overlap: Duration::from_hours(24) });
}

#[test]
fn amounts_become_nano_usd_exactly() {
    let amount = |text: &str| UsdString::from(text).nano();
    assert_eq!(amount("50.00"), Ok(NanoUsd(50_000_000_000)));
    assert_eq!(amount("0.000001"), Ok(NanoUsd(1000)));
    assert_eq!(amount("7"), Ok(NanoUsd(7_000_000_000)));
    assert_eq!(amount("999999999.999999"), Ok(NanoUsd(999_999_999_999_999_000)));
    assert_eq!(PriceString::from("0.000000001").nano(), Ok(NanoUsd(1)));
    assert_eq!(amount("0.0000001"), Err(MoneyError::TooPrecise { text: "0.0000001".to_owned(), most: 6 }));
    assert_eq!(amount("1000000000"), Err(MoneyError::TooLarge("1000000000".to_owned())));
    for bad in ["", ".", "1.", ".5", "-1", "+1", "1,5", "1e3", "1.2.3", " 1", "$1", "१"] {
        assert_eq!(amount(bad), Err(MoneyError::Format(bad.to_owned())), "{bad}");
    }
    let told = amount("ten").unwrap_err().to_string();
    assert_eq!(told, "\"ten\" is not an amount in USD; write digits with a decimal point, such as \"2.50\"");
}

#[test]
fn amounts_print_exactly_or_rounded() {
    let exact =
        [(0, "0.00"), (1, "0.000000001"), (2_500_000_000, "2.50"), (1_230_000, "0.00123"), (-50_000_000, "-0.05")];
    for (nano, text) in exact {
        assert_eq!(NanoUsd(nano).to_string(), text);
    }
    assert_eq!(NanoUsd(212_418_300_000).to_decimal(6), "212.418300");
    assert_eq!(NanoUsd(41_235_000_000).to_decimal(2), "41.24");
    assert_eq!(NanoUsd(41_234_999_999).to_decimal(2), "41.23");
    assert_eq!(NanoUsd(999_999_999).to_decimal(0), "1");
    assert_eq!(NanoUsd(-4_999_999).to_decimal(2), "0.00");
    assert_eq!(NanoUsd(i64::MIN).to_decimal(9), "-9223372036.854775808");
}

#[test]
fn a_pattern_is_a_name_or_a_prefix() {
    let claude = ModelPattern::parse("claude-*").unwrap();
    assert!(claude.matches("claude-sonnet-4") && !claude.matches("gpt-4o") && !claude.matches("Claude-sonnet-4"));
    assert_eq!(claude.captured("claude-sonnet-4"), Some("sonnet-4"));
    assert!(ModelPattern::parse("*").unwrap().matches("anything/at:all"));
    let exact = ModelPattern::parse("meta/llama-3.1:70b@v1+x").unwrap();
    assert!(exact.matches("meta/llama-3.1:70b@v1+x") && !exact.matches("meta/llama"));
    assert_eq!(exact.captured("meta/llama-3.1:70b@v1+x"), None);
    for text in ["claude-*", "*", "gpt-4o"] {
        assert_eq!(ModelPattern::parse(text).unwrap().to_string(), text);
    }
    for bad in ["", "-a", "a b", "a\n", "é", &"a".repeat(254)] {
        assert_eq!(ModelPattern::parse(bad), Err(NameError::Model(bad.to_owned())));
    }
    assert_eq!(ModelPattern::parse("a*b"), Err(NameError::Wildcard("a*b".to_owned())));
}

#[test]
fn a_key_id_is_the_base32_of_the_hash_of_the_name() {
    // printf %s llm/chatbot | sha256sum | xxd -r -p | base32 | tr A-Z a-z | head -c 16
    assert_eq!(KeyId::of("llm", "chatbot").as_str(), "vk_zqddz5n5wpku2k77");
    assert_ne!(KeyId::of("llm", "chatbot"), KeyId::of("llm2", "chatbot"));
    assert_eq!(KeyId::of("llm", "chatbot").to_string().len(), 19);
}

#[test]
fn a_key_hash_reads_and_writes_its_documented_form() {
    let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(KeyHash::of(b"abc").to_string(), text);
    assert_eq!(KeyHash::parse(text), Ok(KeyHash::of(b"abc")));
    let upper = format!("sha256:{}", text[7..].to_uppercase());
    for bad in ["", "abc", &text[7..], &text[..70], &format!("{text}0"), &upper, &text.replace('f', "g")] {
        assert_eq!(KeyHash::parse(bad), Err(NameError::KeyHash), "{bad}");
    }
}
