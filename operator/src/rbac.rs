//! What the operator may ask of the apiserver: the one table, from which the chart's roles are generated.
//!
//! A test on a cluster runs the operator with exactly these rights and looks in the audit log for refusals and for rights
//! that nothing used.

use std::fmt::Write;

/// Where a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every watched namespace: a `ClusterRole`, or a Role in each of `--watch-namespaces`.
    Watched,
    /// The release namespace.
    Release,
    /// What lies in no namespace.
    Global,
}

impl Scope {
    const ALL: [Self; 3] = [Self::Watched, Self::Release, Self::Global];

    /// Name of its list in the chart's file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Watched => "cluster",
            Self::Release => "release",
            Self::Global => "global",
        }
    }
}

/// Verbs on resources of one API group.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Where.
    pub scope: Scope,
    /// API group; empty = core.
    pub group: &'static str,
    /// Plural names, with the subresource after a slash.
    pub resources: &'static [&'static str],
    /// Objects that it is restricted to; empty = all.
    pub names: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// What for.
    pub why: &'static str,
}

const fn rule(
    scope: Scope,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    why: &'static str,
) -> Rule {
    Rule { scope, group, resources, names: &[], verbs, why }
}

/// Every right that the operator uses.
pub const RULES: &[Rule] = &[
    rule(
        Scope::Watched,
        "turnpike.dev",
        &["modeldeployments", "virtualkeys", "budgets"],
        &["list", "watch"],
        "what is published",
    ),
    rule(
        Scope::Watched,
        "turnpike.dev",
        &["modeldeployments/status", "virtualkeys/status", "budgets/status"],
        &["patch"],
        "status, by server-side apply",
    ),
    rule(
        Scope::Watched,
        "turnpike.dev",
        &["virtualkeys"],
        &["get", "patch"],
        "finalizers, by JSON patch; a fresh look before a key is minted",
    ),
    rule(
        Scope::Watched,
        "",
        &["secrets"],
        &["get", "list", "watch", "create", "update", "delete"],
        "metadata of labelled Secrets, values of those that objects refer to; minted keys",
    ),
    rule(
        Scope::Watched,
        "",
        &["services"],
        &["list", "watch"],
        "which private addresses a namespace's models may reach",
    ),
    rule(
        Scope::Watched,
        "",
        &["services", "serviceaccounts", "persistentvolumeclaims"],
        &["get", "list", "watch", "create", "patch", "delete"],
        "engines: where gateways find their pods, whom these run as, and their caches",
    ),
    rule(Scope::Watched, "", &["pods"], &["list", "watch"], "engines: how their pods are"),
    rule(Scope::Watched, "", &["events"], &["list"], "engines: why volumes of their pods cannot be mounted"),
    rule(
        Scope::Watched,
        "apps",
        &["deployments"],
        &["get", "list", "watch", "create", "patch", "delete"],
        "engines: what runs their pods",
    ),
    rule(
        Scope::Watched,
        "batch",
        &["jobs"],
        &["get", "list", "watch", "create", "patch", "delete"],
        "engines: what fills their caches",
    ),
    rule(Scope::Watched, "apps", &["deployments/scale"], &["patch"], "engines: replicas by demand"),
    rule(
        Scope::Watched,
        "networking.k8s.io",
        &["networkpolicies"],
        &["get", "list", "watch", "create", "patch", "delete"],
        "engines: that only gateways and the operator may call them",
    ),
    rule(
        Scope::Watched,
        "policy",
        &["poddisruptionbudgets"],
        &["get", "list", "watch", "create", "patch", "delete"],
        "engines: that drained nodes take one pod at a time",
    ),
    rule(
        Scope::Watched,
        "monitoring.coreos.com",
        &["podmonitors"],
        &["get", "list", "watch", "create", "patch", "delete"],
        "engines: their metrics, where Prometheus' operator is used",
    ),
    rule(
        Scope::Watched,
        "",
        &["namespaces"],
        &["get", "list", "watch"],
        "teams that a namespace's keys may claim; whether it is being deleted. In a Role only get counts",
    ),
    rule(
        Scope::Watched,
        "coordination.k8s.io",
        &["leases"],
        &["list"],
        "whether a second instance of the same name is at work",
    ),
    rule(Scope::Watched, "events.k8s.io", &["events"], &["create", "patch"], "events of the three resources"),
    rule(
        Scope::Release,
        "",
        &["configmaps"],
        &["get", "list", "watch", "create", "patch", "delete"],
        "the bundle's public parts; the root",
    ),
    rule(
        Scope::Release,
        "",
        &["secrets"],
        &["get", "list", "watch", "create", "update", "patch", "delete"],
        "the bundle's secret parts; the gateways' token and the admin key",
    ),
    rule(
        Scope::Release,
        "",
        &["pods"],
        &["list", "watch", "patch"],
        "gateways, and the annotation that makes a kubelet look",
    ),
    rule(
        Scope::Release,
        "coordination.k8s.io",
        &["leases"],
        &["get", "list", "watch", "create", "update"],
        "leader election",
    ),
    rule(Scope::Release, "events.k8s.io", &["events"], &["create", "patch"], "events of the Lease and the bundle"),
    Rule {
        scope: Scope::Global,
        group: "apiextensions.k8s.io",
        resources: &["customresourcedefinitions"],
        names: &["modeldeployments.turnpike.dev", "virtualkeys.turnpike.dev", "budgets.turnpike.dev"],
        verbs: &["get"],
        why: "whether the CRDs are as new as the code",
    },
];

/// The chart's file: lists of rules for roles, under `cluster`, `release` and `global`.
pub fn render() -> String {
    let mut out = String::from("# Generated from operator/src/rbac.rs by `make generate`.\n");
    for scope in Scope::ALL {
        line(&mut out, &format!("{}:", scope.as_str()));
        for rule in RULES.iter().filter(|rule| rule.scope == scope) {
            line(&mut out, &format!("# {}", rule.why));
            line(&mut out, &format!("- apiGroups: {}", list(&[rule.group])));
            line(&mut out, &format!("  resources: {}", list(rule.resources)));
            if !rule.names.is_empty() {
                line(&mut out, &format!("  resourceNames: {}", list(rule.names)));
            }
            line(&mut out, &format!("  verbs: {}", list(rule.verbs)));
        }
    }
    out
}

fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

fn list(items: &[&str]) -> String {
    let items: Vec<_> = items.iter().map(|item| if item.is_empty() { "\"\"" } else { item }).collect();
    format!("[{}]", items.join(", "))
}
