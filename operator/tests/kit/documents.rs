//! Files that are made from the code are as the code says.

use std::path::Path;

use turnpike_bundle::entry::ObjectRef;
use turnpike_operator::{
    metrics::{EventOutcome, Metrics, Outcome, Verb},
    rbac,
};

fn repository(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap()
}

#[test]
fn the_charts_rights_are_those_of_the_table() {
    assert_eq!(repository("charts/turnpike/files/rbac.yaml"), rbac::render(), "run `make generate`");
}

#[test]
fn the_operator_may_not_escalate() {
    for rule in rbac::RULES {
        let name = format!("{}/{:?}", rule.group, rule.resources);
        assert!(!rule.group.contains('*') && !rule.resources.contains(&"*") && !rule.verbs.contains(&"*"), "{name}");
        assert!(!rule.group.starts_with("rbac"), "{name}");
        assert!(!rule.resources.iter().any(|resource| resource.starts_with("pods/")), "{name}");
        let writes = rule.verbs.iter().any(|verb| !["get", "list", "watch"].contains(verb));
        assert!(rule.scope != rbac::Scope::Global || !writes, "{name}");
    }
}

#[test]
fn the_document_lists_every_metric() {
    let metrics = Metrics::new().unwrap();
    metrics.write("Lease", Verb::Update, Outcome::Ok, std::time::Duration::ZERO);
    metrics.event("Normal", EventOutcome::Written);
    metrics.engine_cost(&ObjectRef::default(), 1);
    let document = repository("docs/metrics.md");
    let section = document.split("## The operator").nth(1).unwrap();
    let text = metrics.render().unwrap();
    let rendered: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter(|line| line.starts_with("turnpike_operator_"))
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let help = text.lines().find_map(|line| line.strip_prefix(&format!("# HELP {name} "))).unwrap();
            format!("| `{name}` | {kind} | {} | {help} |", labels(&text, name))
        })
        .collect();
    let listed: Vec<_> = section.lines().filter(|line| line.starts_with("| `turnpike_operator_")).collect();
    let rendered = rendered.join("\n");
    assert_eq!(listed.join("\n"), rendered, "the table should be\n{rendered}");
}

/// Labels of a metric but for a histogram's bounds.
fn labels(text: &str, name: &str) -> String {
    let series = text.lines().find(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| ["{", " ", "_bucket", "_sum"].iter().any(|next| rest.starts_with(next)))
    });
    let inside = series.and_then(|line| line.split_once('{')?.1.split_once('}')).map_or("", |(inside, _)| inside);
    let names =
        inside.split(',').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name).filter(|name| *name != "le");
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
