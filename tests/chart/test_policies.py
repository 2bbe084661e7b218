"""NetworkPolicies and rights choose the right pods and no more."""

import pytest
import render
import yaml

CASES = pytest.mark.parametrize("values", render.CASES, ids=lambda path: path.stem.removesuffix("-values"))


def policies(found, labels):
    """The policies that apply to a pod."""
    return [one["spec"] for one in render.of_kind(found, "NetworkPolicy") if render.selects(one["spec"]["podSelector"], labels)]


@CASES
def test_every_pod_but_the_test_has_one_policy_both_ways(values):
    found = render.case(values)
    enabled = "namespaces" not in values.stem
    for name, labels, _ in render.pods(found):
        wanted = 1 if enabled and labels["app.kubernetes.io/component"] != "test" else 0
        applied = policies(found, labels)
        assert len(applied) == wanted, name
        for policy in applied:
            assert policy["policyTypes"] == ["Ingress", "Egress"]


def rules(component, direction, *arguments):
    """The rules of a component's policy."""
    found = render.objects(*arguments)
    return render.one(found, "NetworkPolicy", f"turnpike-{component}")["spec"].get(direction, [])


def ports(rule):
    return [port["port"] for port in rule.get("ports", [])]


def test_the_internal_port_is_for_the_operator_and_monitoring():
    (rule,) = [one for one in rules("gateway", "ingress") if "internal" in ports(one)]
    assert ports(rule) == ["internal"]
    own, monitoring = rule["from"]
    (operator,) = [labels for name, labels, _ in render.pods(render.objects()) if name == "turnpike-operator"]
    assert render.selects(own["podSelector"], operator)
    assert "namespaceSelector" not in own
    assert monitoring == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}


def test_clients():
    def clients(*arguments):
        (rule,) = [one for one in rules("gateway", "ingress", *arguments) if "http" in ports(one)]
        return rule.get("from")
    assert clients() == [{"namespaceSelector": {}}]
    assert clients("--set", "gateway.service.type=LoadBalancer") is None
    assert clients("--set-json", 'networkPolicy.gateway.clients=[{"podSelector":{}}]') == [{"podSelector": {}}]


def test_gateways_reach_apis_but_no_private_address():
    (rule,) = [one for one in rules("gateway", "egress") if ports(one) == [443]]
    four, six = (peer["ipBlock"] for peer in rule["to"])
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(four["except"])
    assert {"fc00::/7", "fe80::/10"} <= set(six["except"])


def test_allowed_ranges_are_flag_and_rule():
    arguments = ["--set", "gateway.egress.allowCIDRs={10.20.0.0/16,fd00:1::/64}"]
    deployment = render.one(render.objects(*arguments), "Deployment", "turnpike-gateway")
    assert "--egress-allow=10.20.0.0/16,fd00:1::/64" in deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    blocks = [{"ipBlock": {"cidr": "10.20.0.0/16"}}, {"ipBlock": {"cidr": "fd00:1::/64"}}]
    assert {"to": blocks} in rules("gateway", "egress", *arguments)


def env(component, *arguments):
    """The environment of a component's container, by name."""
    deployment = render.one(render.objects(*arguments), "Deployment", f"turnpike-{component}")
    return {one["name"]: one for one in deployment["spec"]["template"]["spec"]["containers"][0].get("env", [])}


def test_a_store_is_reached_by_those_who_use_it_and_nobody_without_one():
    own = ["--set", "database.urlSecret.name=stores,database.urlSecret.key=pg,redis.urlSecret.name=stores",
           "--set-json", 'networkPolicy.database={"to":[{"ipBlock":{"cidr":"10.1.0.0/16"}}],"ports":[6432]}']
    database = {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "stores", "key": "pg"}}}
    redis = {"name": "REDIS_URL", "valueFrom": {"secretKeyRef": {"name": "stores", "key": "url"}}}
    assert (env("gateway", *own)["DATABASE_URL"], env("gateway", *own)["REDIS_URL"]) == (database, redis)
    assert env("operator", *own)["DATABASE_URL"] == database and "REDIS_URL" not in env("operator", *own)
    assert not {"DATABASE_URL", "REDIS_URL"} & set(env("gateway") | env("operator"))
    for component, wanted in (("gateway", [[6432], [6379]]), ("operator", [[6432]])):
        rest = [ports(rule) for rule in rules(component, "egress")]
        more = [rule for rule in rules(component, "egress", *own) if ports(rule) not in rest]
        assert [ports(rule) for rule in more] == wanted, component
        assert more[0]["to"] == [{"ipBlock": {"cidr": "10.1.0.0/16"}}] and all("to" not in rule for rule in more[1:])


def test_a_trials_store_is_reached_by_its_label_unless_there_is_one_of_yours():
    trial = ["--set", "trial.postgresql.enabled=true"]
    assert env("operator", *trial)["DATABASE_URL"]["valueFrom"]["secretKeyRef"] == {"name": "turnpike-postgresql", "key": "url"}
    (labels,) = [labels for name, labels, _ in render.pods(render.objects(*trial)) if name == "turnpike-postgresql"]
    for component in ("gateway", "operator"):
        (rule,) = [rule for rule in rules(component, "egress", *trial) if ports(rule) == [5432]]
        assert render.selects(rule["to"][0]["podSelector"], labels)
    both = [*trial, "--set", "database.urlSecret.name=mine"]
    assert env("gateway", *both)["DATABASE_URL"]["valueFrom"]["secretKeyRef"] == {"name": "mine", "key": "url"}


def test_the_operator_reaches_the_api_server_gateways_and_engines():
    egress = rules("operator", "egress")
    assert [ports(rule) for rule in egress] == [[53, 53], [443, 6443], ["internal"], [8000, 8001], [8001]]
    (gateway,) = [labels for name, labels, _ in render.pods(render.objects()) if name == "turnpike-gateway"]
    assert render.selects(egress[2]["to"][0]["podSelector"], gateway)
    golden = (render.ROOT / "engine/tests/golden/overlay.snap").read_text().split("---\n", 2)[2]
    made = {one["kind"]: one for one in yaml.safe_load_all(golden) if one["kind"] in ("Deployment", "Job")}
    for rule, kind in ((egress[3], "Deployment"), (egress[4], "Job")):
        assert render.selects(rule["to"][0]["podSelector"], made[kind]["spec"]["template"]["metadata"]["labels"])
        assert rule["to"][0]["namespaceSelector"] == {}


def bound(found, account):
    """(kind, namespace or None, rule) of everything that a ServiceAccount may do."""
    for binding in render.of_kind(found, "RoleBinding", "ClusterRoleBinding"):
        if account not in [subject["name"] for subject in binding["subjects"]]:
            continue
        namespace = binding["metadata"].get("namespace")
        for role in render.of_kind(found, binding["roleRef"]["kind"]):
            if (role["metadata"]["name"], role["metadata"].get("namespace")) == (binding["roleRef"]["name"], namespace):
                for rule in role["rules"]:
                    yield namespace, rule


@CASES
def test_nobody_may_do_everything(values):
    for role in render.of_kind(render.case(values), "Role", "ClusterRole"):
        for rule in role["rules"]:
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"], role["metadata"]["name"]


def test_gateways_have_no_rights():
    for values in render.CASES:
        found = render.case(values)
        for account in render.of_kind(found, "ServiceAccount"):
            if account["metadata"]["name"].endswith("-gateway"):
                assert list(bound(found, account["metadata"]["name"])) == []


def test_listed_namespaces_instead_of_the_cluster():
    """Nothing namespaced may be granted everywhere."""
    everywhere = {"namespaces", "customresourcedefinitions"}
    found = render.objects("--set", "operator.watchNamespaces={team-a,team-b}")
    granted = list(bound(found, "turnpike-operator"))
    assert {name for namespace, rule in granted if namespace is None for name in rule["resources"]} <= everywhere
    for team in ("team-a", "team-b"):
        assert any("secrets" in rule["resources"] for namespace, rule in granted if namespace == team)
    whole = list(bound(render.objects(), "turnpike-operator"))
    assert any("secrets" in rule["resources"] for namespace, rule in whole if namespace is None)


def test_aggregated_roles_never_hold_secrets():
    found = [one for one in render.of_kind(render.objects(), "ClusterRole")
             if any("aggregate-to" in label for label in one["metadata"]["labels"])]
    assert len(found) == 2
    for role in found:
        for rule in role["rules"]:
            assert rule["apiGroups"] == ["turnpike.dev"]
    view = [one for one in found if "rbac.authorization.k8s.io/aggregate-to-view" in one["metadata"]["labels"]]
    (view,) = view
    assert {verb for rule in view["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
