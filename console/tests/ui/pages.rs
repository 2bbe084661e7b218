//! What each page says of its facts.

use turnpike_console::ui::{
    facts::{Budgets, Keys, Models, Overview, Requests, Search},
    pages,
};

use super::world::{self, HOSTILE, NOW, amount};

/// The text of a page as a person reads it: a line for each block, without tags.
fn text(html: &str) -> String {
    let mut text = String::new();
    for part in html.split('<') {
        let (tag, words) = part.split_once('>').unwrap_or(("", part));
        let is_block = ["tr", "/tr", "p", "h1", "h2", "li", "td", "th", "main", "/table", "div"];
        if is_block.contains(&tag.split_whitespace().next().unwrap_or_default()) {
            text.push('\n');
        } else if tag.starts_with("span") || tag.starts_with("br") {
            text.push(' ');
        }
        text.push_str(words);
    }
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn says(html: &str, lines: &[&str]) {
    let text = text(html);
    for line in lines {
        assert!(text.lines().any(|own| own == *line), "no line {line:?} in\n{text}");
    }
}

#[test]
fn names_of_others_are_never_markup() {
    let requests = Requests {
        now: NOW,
        search: Search { model: HOSTILE.into(), ..Search::default() },
        rows: vec![world::row()],
        searched: 1,
    };
    let pages = [
        pages::overview(&world::overview()),
        pages::models(&world::models()),
        pages::keys(&world::keys()),
        pages::budgets(&world::budgets()),
        pages::requests(&requests),
        pages::request(HOSTILE, &[world::row()]),
        pages::sign_in(HOSTILE),
        pages::unavailable(HOSTILE),
    ];
    for page in pages {
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        assert!(page.contains("&#60;script&#62;alert(1)"), "the name is there, escaped: {page}");
        // As an attribute's value, it ends no attribute.
        assert!(!page.contains("\"'&\""), "{page}");
    }
}

#[test]
fn models_tell_how_their_backends_stand_and_why() {
    let page = pages::models(&world::models());
    says(
        &page,
        &[
            "Configuration 7 (abcdef012345), loaded 1 min 30 s ago. As of 2026-03-01 12:00:00 UTC.",
            "well ml/well also smart",
            "openai gpt-4o https://api.openai.com/v1 weight 1, priority 0, Cluster",
            "Healthy probe answered 12 s ago",
            "Cooling down, 42 s left probes fail: it answers 503, since 1 min 5 s probe failed 2 s ago: it answers 503",
            "Slow start, 40 % of its share not probed",
            "No replica not probed yet 10.0.0.7:8000 On trial",
            "1,500 250,000 tokens",
            "600 requests/min 1,000,000 tokens/min",
            "$2.50 in $10.00 out",
            "not known",
        ],
    );
    says(
        &page,
        &[
            "Problems of the manifests 1",
            "ModelDeployment ml/broken spec.provider.baseURL Invalid &#60;b&#62;no scheme&#60;/b&#62;. Next step: write https://.",
        ],
    );
    assert!(text(&page).contains("ml/well weight 90, priority 0"), "{page}");
    assert!(text(&page).contains("weight 10, priority 1 not served"), "{page}");
}

#[test]
fn budgets_tell_what_is_left_and_when_they_reset() {
    let page = pages::budgets(&world::budgets());
    says(
        &page,
        &[
            "ml/within Shared, 1 key",
            "Within",
            "$2.00 of $10.00 20 %",
            "calendar month · $0.50 held · $7.50 left · resets in 2 d",
            "Over 80 %",
            "Exceeded: Block",
            "Exceeded, only told",
            "One pot for each end user",
            "and 7 more",
            "Enforce beyond: Block notifies at 50 %, 80 %",
        ],
    );
    assert!(text(&page).contains("5 of 10,000,000,000 tokens"), "{page}");
    assert!(text(&page).contains("left · never resets"), "{page}");
    assert!(
        page.contains(r#"<rect class="spent" width="20" height="6"/><rect class="held" x="20" width="5" height="6"/>"#)
    );
}

#[test]
fn the_worst_pot_tells_a_budgets_state() {
    let state = |amounts: Vec<_>| {
        let mut all = world::budgets();
        all.budgets.truncate(1);
        all.budgets[0].amounts = amounts;
        let page = text(&pages::budgets(&all));
        page.lines().skip_while(|line| !line.contains("Shared, 1 key")).nth(1).unwrap().to_owned()
    };
    assert_eq!(state(vec![amount(9_999_999_999, 0)]), "Over 80 %");
    assert_eq!(state(vec![amount(0, 0), amount(10_000_000_000, 0)]), "Exceeded: Block");
    assert_eq!(state(vec![amount(0, 10_000_000_000)]), "Within", "what is held is not spent");
}

#[test]
fn keys_tell_who_they_are_of_and_whether_they_work() {
    let page = pages::keys(&world::keys());
    says(
        &page,
        &[
            "ml/over vk_over",
            "Over budget expires in 1 h",
            "all",
            "60 requests/min",
            "$12.50 4,321 requests",
            "Suspended",
            "Expired expires 1 s ago",
            "Active, two keys",
            "and 3 more keys",
        ],
    );
    assert!(text(&page).contains("counted by ml/team"));
    assert!(page.contains(r#"href="/ui/requests?key=vk_over""#));
    let without = Keys { has_log: false, ..world::keys() };
    assert!(!pages::keys(&without).contains("30 days"));
}

#[test]
fn requests_tell_how_each_ended_and_what_it_cost() {
    let facts = Requests { now: NOW, search: Search::default(), rows: vec![world::row()], searched: 20_000 };
    let page = pages::requests(&facts);
    says(
        &page,
        &[
            "12:00:00",
            "req-1 chat, streamed, 2 attempts",
            "smart ml/well",
            "vk_1 ml",
            "200",
            "1,200, 34",
            "$0.00007",
            "230 ms",
            "12.3 s",
            "The newest 1, of the last 20,000 rows of the spend log. It has neither prompts nor answers.",
        ],
    );
    assert!(page.contains(r#"href="/ui/requests/1772366400000000/req-1""#));
    let later = pages::requests(&Requests { now: NOW + 86_400, ..facts.clone() });
    says(&later, &["03-01 12:00:00"]);
    let none = pages::requests(&Requests { rows: Vec::new(), ..facts });
    assert!(none.contains("No such request among the newest 20,000 rows"));
}

#[test]
fn the_overview_tells_today_and_the_days_before() {
    let page = pages::overview(&world::overview());
    says(
        &page,
        &[
            "1 problem in the manifests: see what is not served.",
            "3 in flight",
            "2 of 3 backends take requests",
            "1,234 requests today",
            "2 failed today",
            "$2.50 spent today",
        ],
    );
    assert!(page.contains("<title>03-01: $2.50, 1,234 requests, 2 failed</title>"), "{page}");
    assert!(page.contains(r#"y="40" width="18" height="10""#), "a fifth of the best day: {page}");
    let without = pages::overview(&Overview { days: Vec::new(), ..world::overview() });
    assert!(without.contains("PostgreSQL") && !without.contains("spent today"));
}

#[test]
fn empty_pages_say_what_is_missing() {
    assert!(pages::models(&Models::default()).contains("No configuration is loaded yet."));
    assert!(pages::budgets(&Budgets::default()).contains("There is no Budget."));
    assert!(pages::keys(&Keys::default()).contains("only the admin key may call models"));
}
