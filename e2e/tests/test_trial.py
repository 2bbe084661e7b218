"""The PostgreSQL and Redis that the chart brings for trials, and gateways with volumes, in a namespace that admits restricted pods
only.

Their images stand for docker.io/library/postgres and docker.io/valkey/valkey, which tests do not pull: they are this machine's
PostgreSQL and Redis, started as the published ones are (e2e/cluster/stores.sh).
"""

from functools import partial

import pytest

import kube
import reach
import upstream
import volumes
from expect import served
from kube import eventually
from objects import key, mock, namespaced, of_instance, provider, secret
from release import Release, ask, is_ready, said, secret_value

NAME = "trial"
POSTGRESQL, REDIS = f"{NAME}-postgresql", f"{NAME}-redis"
ours = partial(of_instance, NAME)


@pytest.fixture(scope="module")
def trial(api, store_images, tmp_path_factory):
    """An installation with both stores, on a cluster without a provider of storage."""
    namespace = f"{NAME}-system"
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": restricted}})
    folder = tmp_path_factory.mktemp("volumes")
    for pod in (f"{POSTGRESQL}-0", f"{NAME}-gateway-0", f"{NAME}-gateway-1"):
        volumes.held(api, folder / pod, namespace, f"data-{pod}")
    release = Release(api, NAME, namespace, **{
        "operator.instance": NAME, "gateway.replicas": 2, "gateway.resources.requests.cpu": "10m", "gateway.shutdownDelay": "1s",
        "gateway.wal.persistence": True, "gateway.wal.size": "1Gi",
        "trial.postgresql.enabled": True, "trial.postgresql.image": "localhost/postgres:e2e", "trial.postgresql.storage": "1Gi",
        "trial.redis.enabled": True, "trial.redis.image": "localhost/redis:e2e"})
    release.install()
    yield release
    release.uninstall()
    left = [api.find(kind, namespace, name) for kind, name in (
        ("PersistentVolumeClaim", f"data-{POSTGRESQL}-0"), ("Secret", POSTGRESQL), ("Secret", REDIS))]
    api.delete("Namespace", None, namespace)
    assert not any(one and "deletionTimestamp" not in one["metadata"] for one in left), left


def pod(api, trial, store):
    """The one pod of a store."""
    return api.get("Pod", trial.namespace, f"{store}-0")


def inside(trial, store, command):
    """What a shell's command prints in a store's container."""
    return kube.kubectl("exec", "--namespace", trial.namespace, f"{store}-0", "--", "sh", "-c", command)


def rows(trial, namespace):
    """How many requests for a namespace's models the spend log has, and what they cost, nano-USD."""
    query = f"select count(*), coalesce(sum(cost_nano), 0) from spend_row where model like '{namespace}/%'"
    answer = inside(trial, POSTGRESQL, f'psql --username=turnpike --dbname=turnpike -tAc "{query}"')
    return tuple(map(int, answer.strip().split("|")))


def redis_keys(trial):
    """What Redis holds."""
    return inside(trial, REDIS, 'REDISCLI_AUTH="$PASSWORD" redis-cli --scan').split()


@pytest.fixture
def model(api, trial, namespace, value):
    """A model of ten cents a request whose answers are kept, for a key with a budget and a rate."""
    budget = namespaced("Budget", namespace, "team", {"scope": {"namespace": True}, "limits": [{"window": "Month", "usd": "5"}]})
    served(api, ours(mock(namespace, "gpt", price={"perRequest": "0.10"}, cache={"enabled": True, "ttl": "1h"})),
           ours(key(namespace, "app", value, limits={"rpm": 1000})), ours(budget))
    return "gpt"


def spent(api, kind, namespace, name):
    """What an object's status says was spent, USD."""
    return float(api.get(kind, namespace, name).get("status", {}).get("spent") or 0)


def test_requests_become_rows_and_status_and_gateways_share_redis(api, trial, namespace, value, model):
    for store in (POSTGRESQL, REDIS):
        assert is_ready(pod(api, trial, store)) and pod(api, trial, store)["spec"]["securityContext"]["runAsUser"] == 999
    first, second = trial.gateways()
    assert said(ask(first, value, model)) == "Hello from Turnpike"
    eventually(lambda: rows(trial, namespace) == (1, 100_000_000), "a row of ten cents", 20, 0.5)
    for kind, name in (("Budget", "team"), ("VirtualKey", "app")):
        eventually(lambda: spent(api, kind, namespace, name) == 0.1, f"the {kind}'s status says so", 60, 0.5)
    # Only Redis can have told the other gateway.
    eventually(lambda: ask(second, value, model).headers.get("x-litellm-cache-hit") == "True", "the answer is shared")
    found = eventually(lambda: (keys := redis_keys(trial)) and any("turnpike:rate:" in one for one in keys) and keys, "rates")
    assert any(one.startswith("turnpike:answer:") for one in found), found
    most = inside(trial, REDIS, 'REDISCLI_AUTH="$PASSWORD" redis-cli config get maxmemory').split()
    assert most == ["maxmemory", str(192 << 20)], "of the 256 MiB that it may take"


def test_spend_and_passwords_outlive_an_upgrade_and_the_stores_pods(api, trial, namespace, value, model):
    assert ask(trial.url, value, model, "one").status_code == 200
    eventually(lambda: rows(trial, namespace)[0] == 1, "a row", 20, 0.5)
    def passwords():
        return [secret_value(api, trial.namespace, store, one) for store in (POSTGRESQL, REDIS) for one in ("password", "url")]
    before, pods = passwords(), {one["metadata"]["uid"] for one in trial.pods()}
    assert len(set(before)) == 4 and len(before[0]) == len(before[2]) == 32
    for store in (POSTGRESQL, REDIS):
        api.delete("Pod", trial.namespace, f"{store}-0")
    # New gateways and new stores meet with what is in the Secrets.
    trial.install("--set-string", "gateway.podAnnotations.restarted=yes")
    assert passwords() == before
    assert not pods & {one["metadata"]["uid"] for one in trial.pods()}
    assert ask(trial.url, value, model, "two").status_code == 200
    eventually(lambda: rows(trial, namespace)[0] == 2, "another row beside the old one", 20, 0.5)
    for kind, name in (("Budget", "team"), ("VirtualKey", "app")):
        assert kube.is_true(api.get(kind, namespace, name), "Ready")


def test_what_gateways_have_on_their_volumes_outlives_their_pods(api, trial, namespace, value):
    api.apply(secret(namespace, "upstream", **{"api-key": upstream.KEY}))
    upstream.start(api, namespace)
    upstream.wait(api, namespace)
    served(api, ours(key(namespace, "app", value)),
           ours(provider(namespace, "gpt", f"http://upstream.{namespace}.svc:4000/v1", provider={"model": "echo"},
                         price={"inputPerMillion": "0", "outputPerMillion": "0", "perRequest": "0.10"})))
    scale = "scale", "statefulset", POSTGRESQL, "--namespace", trial.namespace
    kube.kubectl(*scale, "--replicas=0")
    eventually(lambda: not api.find("Pod", trial.namespace, f"{POSTGRESQL}-0"), "there is no database", 60)
    gateways = trial.gateways()
    assert len(gateways) == 2
    for number in range(5):
        for url in gateways:
            assert ask(url, value, "gpt", f"Hello {number}").status_code == 200
    # They end while there is nobody to tell.
    for gateway in trial.pods():
        api.delete("Pod", trial.namespace, gateway["metadata"]["name"], params={"gracePeriodSeconds": 0})
    kube.kubectl(*scale, "--replicas=1")
    eventually(lambda: (found := api.find("Pod", trial.namespace, f"{POSTGRESQL}-0")) and is_ready(found), "it is back", 60)
    eventually(lambda: rows(trial, namespace) == (10, 1_000_000_000), "every request is booked once", 60, 0.5)


def test_nobody_else_reaches_the_stores(api, trial, namespace):
    api.apply(reach.client(namespace))
    reach.ready(api, namespace, "client")
    gateway = trial.namespace, trial.pods()[0]["metadata"]["name"]
    for store, port in ((POSTGRESQL, 5432), (REDIS, 6379)):
        address = f"{store}.{trial.namespace}.svc:{port}"
        reach.allowed(*gateway, address)
        reach.refused(namespace, "client", address)
