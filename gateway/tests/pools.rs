//! What models become where requests are sent: members with their shares, fallbacks, and what was seen of them before.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails here fails with the line")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use turnpike_bundle::{Contents, entry::ModelEntry};
use turnpike_gateway::config::{
    backends::Backends,
    compile::{Seen, compile},
    snapshot::{Pool, Snapshot},
};
use turnpike_gateway::engines::addresses::Addresses;
use turnpike_routing::{
    failure::Cause,
    group::{Strategy, Tier},
};

/// A mock of namespace `llm`, with more fields of an entry.
fn mock(name: &str, more: &Value) -> ModelEntry {
    entry(name, &json!({"kind": "Mock", "response": "hi"}), more)
}

/// A route, by the fields of its backend.
fn route(name: &str, backend: &Value, more: &Value) -> ModelEntry {
    let mut backend = backend.clone();
    backend["kind"] = json!("Route");
    if backend.get("targets").is_none() {
        backend["targets"] = json!([]);
    }
    entry(name, &backend, more)
}

fn entry(name: &str, backend: &Value, more: &Value) -> ModelEntry {
    let mut entry = json!({
        "namespace": "llm", "name": name, "created": 0, "model_name": name, "visibility": "Namespace", "backend": backend,
        "weight": 1, "priority": 0, "capabilities": {},
        "timeouts": {"connect": 1, "firstByte": 1, "idle": 1, "total": 1000},
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        entry[field] = value.clone();
    }
    serde_json::from_value(entry).unwrap()
}

fn object(name: &str) -> Value {
    json!({"namespace": "llm", "name": name})
}

fn target(name: &str, weight: u32) -> Value {
    json!({"model": object(name), "weight": weight, "priority": 0})
}

fn snapshot(models: Vec<ModelEntry>, backends: &Backends) -> Snapshot {
    let contents = Contents { models, ..Contents::default() };
    let (sources, addresses) = (BTreeMap::new(), Addresses::default());
    let seen = Seen { backends, sources: &sources, addresses: &addresses };
    let (snapshot, left_out) = compile(&contents, seen, 1, "h".to_owned());
    assert_eq!(left_out, []);
    snapshot
}

fn pool<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Arc<Pool> {
    &snapshot.namespaces["llm"].exact[name]
}

/// Name and share in thousandths of each member; the two halves of a member must agree.
fn shares(pool: &Pool) -> Vec<(&str, u64)> {
    assert_eq!(pool.members.len(), pool.group.members.len());
    let total: u64 = pool.group.members.iter().map(|member| u64::from(member.weight)).sum();
    let both = pool.members.iter().zip(&pool.group.members);
    both.map(|(member, of_group)| {
        assert!(Arc::ptr_eq(&member.model.live, &of_group.live));
        assert_eq!((member.weight, member.priority), (of_group.weight, of_group.priority));
        let name = member.model.entry.object.name.as_str();
        (name, u64::from(of_group.weight) * 1000 / total)
    })
    .collect()
}

#[test]
fn a_route_within_a_route_shares_its_weight_among_its_own_targets() {
    let models = vec![
        mock("a", &json!({})),
        mock("b", &json!({})),
        mock("c", &json!({})),
        route("inner", &json!({"targets": [target("a", 1), target("b", 3)]}), &json!({})),
        route("outer", &json!({"targets": [target("inner", 1), target("c", 1)]}), &json!({})),
    ];
    let snapshot = snapshot(models, &Backends::default());
    assert_eq!(shares(pool(&snapshot, "outer")), [("a", 125), ("b", 375), ("c", 500)]);
    let inner = &pool(&snapshot, "inner").group;
    assert_eq!(inner.members.iter().map(|member| member.weight).collect::<Vec<_>>(), [1, 3], "weights as written");
}

#[test]
fn a_route_brings_its_own_settings_and_a_pool_those_of_its_members() {
    let on = json!(["Error", "ContextWindow"]);
    let models = vec![
        mock(
            "a",
            &json!({"model_name": "pool", "created": 2, "strategy": "Latency",
            "retry": {"rateLimit": 9, "timeout": 0, "contentPolicy": 0, "authentication": 0, "serverError": 0},
            "fallbacks": [{"model": object("c"), "on": on}]}),
        ),
        mock(
            "b",
            &json!({"model_name": "pool", "created": 1, "strategy": "Latency",
            "retry": {"rateLimit": 3, "timeout": 0, "contentPolicy": 0, "authentication": 1, "serverError": 0},
            "fallbacks": [{"model": object("hidden"), "on": ["RateLimit"], "maxPercent": 5}, {"model": object("c"), "on": on},
                          {"model": object("gone"), "on": on}]}),
        ),
        mock("c", &json!({"timeouts": {"connect": 1, "firstByte": 1, "idle": 1, "total": 9000}})),
        mock("hidden", &json!({"visibility": "Internal"})),
        route(
            "r",
            &json!({"targets": [target("a", 1), target("c", 1)], "strategy": "RoundRobin", "sticky": {"Header": "x-id"},
            "mirror": {"model": object("hidden"), "percent": 5}, "hedge": 95}),
            &json!({}),
        ),
        route("quick", &json!({"targets": [target("c", 1)], "total": 30}), &json!({})),
    ];
    let snapshot = snapshot(models, &Backends::default());
    let of_pool = &pool(&snapshot, "pool").group;
    assert_eq!(of_pool.strategy, Strategy::Latency);
    assert_eq!(of_pool.retry.by_cause, [(Cause::RateLimit, 3), (Cause::Authentication, 1)], "the oldest decides");
    let fallbacks: Vec<_> =
        of_pool.fallbacks.iter().map(|fallback| (&*fallback.target, fallback.max_percent)).collect();
    assert_eq!(
        fallbacks,
        [("llm/hidden", Some(5)), ("llm/c", None)],
        "the oldest's first, each once, none that is gone"
    );
    let error = [Cause::ServerError, Cause::Authentication, Cause::NotFound, Cause::ContextWindow];
    assert_eq!(of_pool.fallbacks[1].on, error);
    assert_eq!(of_pool.ids.iter().map(|id| &**id).collect::<Vec<_>>(), ["llm/b", "llm/a"]);
    let route = pool(&snapshot, "r");
    assert_eq!((route.group.strategy, route.group.hedge), (Strategy::RoundRobin, Some(95)));
    assert_eq!(&*route.group.mirror.as_ref().unwrap().target, "llm/hidden");
    assert_eq!(route.total, Duration::from_secs(9), "as long as its slowest target may take");
    assert_eq!(pool(&snapshot, "quick").total, Duration::from_millis(30));
    let mut objects: Vec<_> = snapshot.objects.keys().map(|id| &**id).collect();
    objects.sort_unstable();
    assert_eq!(objects, ["llm/c", "llm/hidden"], "also what nobody can ask for");
    assert!(!snapshot.namespaces["llm"].exact.contains_key("hidden"));
}

#[test]
fn complexity_has_a_member_for_each_tier_and_others_come_after() {
    let complexity =
        json!({"simpleBelowWords": 50, "simple": object("a"), "medium": object("inner"), "complex": object("gone")});
    let models = vec![
        mock("a", &json!({})),
        mock("b", &json!({})),
        mock("c", &json!({})),
        route("inner", &json!({"targets": [target("b", 1)]}), &json!({})),
        route(
            "r",
            &json!({"targets": [target("a", 1), target("c", 1)], "strategy": "Complexity", "complexity": complexity}),
            &json!({}),
        ),
    ];
    let snapshot = snapshot(models, &Backends::default());
    let found = pool(&snapshot, "r");
    let names = found.members.iter().map(|member| member.model.entry.object.name.as_str());
    let tiers: Vec<_> =
        names.zip(&found.group.members).map(|(name, member)| (name, member.tier, member.priority)).collect();
    assert_eq!(tiers, [("a", Some(Tier::Simple), 0), ("b", Some(Tier::Medium), 0), ("c", None, 1)]);
}

#[test]
fn tags_narrow_on_the_way_to_a_member() {
    let tagged = |name: &str, tags: &[&str]| json!({"model": object(name), "weight": 1, "priority": 0, "tags": tags});
    let models = vec![
        mock("a", &json!({"tags": ["eu"]})),
        mock("b", &json!({})),
        mock("c", &json!({})),
        route(
            "inner",
            &json!({"targets": [tagged("a", &["x", "y"]), tagged("b", &[]), tagged("c", &["z"])]}),
            &json!({}),
        ),
        route("outer", &json!({"targets": [tagged("inner", &["y"])]}), &json!({})),
    ];
    let snapshot = snapshot(models, &Backends::default());
    let outer = pool(&snapshot, "outer");
    let names = outer.members.iter().map(|member| member.model.entry.object.name.as_str());
    let tags: Vec<(&str, &[Box<str>])> = names.zip(outer.group.members.iter().map(|member| &*member.tags)).collect();
    assert_eq!(tags, [("a", &["y".into()][..]), ("b", &["y".into()])]);
    assert_eq!(outer.group.members[0].traits.tags, [Box::<str>::from("eu")], "its own labels are something else");
}

#[test]
fn what_was_seen_outlives_a_reload_and_not_a_change_of_the_backend() {
    let backends = Backends::default();
    let fallback = json!({"fallbacks": [{"model": object("b"), "on": ["Error"]}]});
    let first = snapshot(vec![mock("a", &fallback), mock("b", &json!({}))], &backends);
    let second = snapshot(vec![mock("a", &json!({"weight": 5})), mock("b", &json!({}))], &backends);
    let live = |snapshot: &Snapshot, name: &str| Arc::clone(&pool(snapshot, name).members[0].model.live);
    assert!(Arc::ptr_eq(&live(&first, "a"), &live(&second, "a")));
    assert!(!Arc::ptr_eq(&live(&first, "a"), &live(&first, "b")));
    assert!(Arc::ptr_eq(&pool(&first, "a").group.traffic, &pool(&second, "a").group.traffic));
    assert!(!Arc::ptr_eq(&pool(&first, "b").group.traffic, &first.objects["llm/b"].group.traffic));
    let corrected = entry("a", &json!({"kind": "Mock", "response": "other"}), &json!({}));
    let third = snapshot(vec![corrected], &backends);
    assert!(!Arc::ptr_eq(&live(&first, "a"), &live(&third, "a")));
    let before = Arc::downgrade(&live(&second, "b"));
    drop((first, second));
    assert!(before.upgrade().is_none(), "what no snapshot holds is let go");
    backends.forget();
}
