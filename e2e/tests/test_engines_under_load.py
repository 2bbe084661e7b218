"""Engines that change while clients call: none of their requests may fail."""

import collections
import random
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

import engines
import kube
from expect import served
from kube import eventually
from load import Load
from metrics_api import ExternalMetrics
from objects import key
from release import OPERATORS, ask, said

pytestmark = pytest.mark.usefixtures("engine_node")
# Eight words of 20 ms.
PACE = {"ENGINE_TOKEN_MS": "20"}


@pytest.fixture
def caller(api, release, namespace, value):
    """A key of the namespace."""
    served(api, key(namespace, "caller", value))
    return value


def load(release, caller, model="tiny"):
    """Clients without retries; a whole answer has eight words."""
    return Load(release.url, caller, model, lambda text: len(text.split()) == 8, retries=0)


def speakers(running):
    """The pods that answered."""
    return {text.split()[0] for text in running.texts}


def names(api, namespace, model):
    """The engine's pods, also those that end."""
    return {pod["metadata"]["name"] for pod in api.list("Pod", namespace, f"turnpike.dev/model={model}")}


def test_new_versions_of_engines(api, release, namespace, caller):
    def version(number):
        pace = {**PACE, "ENGINE_LOAD_SECONDS": str(number)}
        return (engines.vllm(namespace, "two", pace, vllm={"replicas": 2}),
                engines.vllm(namespace, "one", pace, vllm={"rollout": "Surge"}))
    api.apply(*version(1))
    engines.ready(api, namespace, "two", 2)
    engines.ready(api, namespace, "one")
    engines.answering(release, caller, "two")
    engines.answering(release, caller, "one")
    with load(release, caller, "two") as two, load(release, caller, "one") as one:
        eventually(lambda: (len(speakers(two)), len(speakers(one))) == (2, 1), "all answer")
        old = speakers(two) | speakers(one)
        api.apply(*version(2))
        eventually(lambda: not old & (names(api, namespace, "two") | names(api, namespace, "one")), "the old pods are gone",
                   within=180)
        engines.ready(api, namespace, "two", 2)
        eventually(lambda: (len(speakers(two) - old), len(speakers(one) - old)) == (2, 1), "the new ones answer")
        two.check(least=100)
        one.check(least=100)


@pytest.fixture
def metric(api, namespace, tmp_path):
    """What autoscalers of the cluster go by."""
    served = ExternalMetrics(api, namespace, tmp_path)
    yield served
    served.close()


def scale(api, namespace, name):
    """What the scale subresource says: replicas that are wanted, replicas that are there, and the pods that its selector finds."""
    found = api.call("GET", kube.path("ModelDeployment", namespace, name) + "/scale")
    pods = {pod["metadata"]["name"] for pod in api.list("Pod", namespace, found["status"]["selector"])}
    return found["spec"]["replicas"], found["status"]["replicas"], pods


def test_scaled_by_hand_and_by_an_autoscaler_of_the_cluster(api, release, namespace, caller, metric):
    api.apply(engines.vllm(namespace, "tiny", PACE))
    engines.ready(api, namespace, "tiny")
    engines.answering(release, caller, "tiny")
    with load(release, caller) as running:
        kube.kubectl("scale", "mdep/tiny", "--namespace", namespace, "--replicas=3")
        engines.ready(api, namespace, "tiny", 3)
        eventually(lambda: len(speakers(running)) == 3, "all three answer")
        metric.set(1)
        api.apply(metric.autoscaler("tiny", most=2, target=10))
        eventually(lambda: len(names(api, namespace, "tiny")) == 1, "two are gone", within=90)
        engines.ready(api, namespace, "tiny", 1)
        assert scale(api, namespace, "tiny") == (1, 1, names(api, namespace, "tiny"))
        metric.set(20)
        engines.ready(api, namespace, "tiny", 2)
        assert scale(api, namespace, "tiny") == (2, 2, names(api, namespace, "tiny"))
        eventually(lambda: len(speakers(running)) == 4, "the new one answers")
        running.check(least=100)
    told = api.get("HorizontalPodAutoscaler", namespace, "tiny")
    assert (told["status"]["currentReplicas"], told["status"]["desiredReplicas"]) == (2, 2)
    assert {kind: kube.condition(told, kind)[0] for kind in ("AbleToScale", "ScalingActive")} == {
        "AbleToScale": "True", "ScalingActive": "True"}


def test_prefixes_stay_with_the_pods_that_have_them(api, release, namespace, caller):
    """300 documents of three blocks each. A pod remembers 200 of them, so that without affinity a third would not be found."""
    documents, asked = 300, 1500
    blocks = {**PACE, "ENGINE_CACHE_BLOCKS": str(3 * 200)}
    api.apply(engines.vllm(namespace, "tiny", blocks, poolStrategy="PrefixAffinity",
                           vllm={"replicas": 3, "extraArgs": ["--enable-prompt-tokens-details"]}))
    engines.ready(api, namespace, "tiny", 3)
    engines.answering(release, caller, "tiny")
    [gateway, *_] = release.gateways()
    pods = names(api, namespace, "tiny")
    eventually(lambda: {said(ask(gateway, caller, "tiny", f"{n} " * 50, max_tokens=1)) for n in range(40)} == pods,
               "the gateway has found all pods")
    draw = random.Random(1)
    order = [*range(documents), *(draw.randrange(documents) for _ in range(asked))]
    clients = [httpx.Client(base_url=gateway, trust_env=False, verify=False) for _ in range(100)]

    def ask_about(number):
        """Who answered, and whether it had the document."""
        client = clients.pop()
        document = " ".join(f"paragraph-{order[number]:03d}-{part:02d}" for part in range(48))
        answer = ask("", caller, "tiny", f"{document} question-{number}", client=client, max_tokens=3)
        clients.append(client)
        return said(answer).split()[0], answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"] == 48

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(ask_about, range(len(order))))[documents:]
    for client in clients:
        client.close()
    loads = collections.Counter(pod for pod, _ in answers)
    met, busiest = sum(had for _, had in answers) / asked, max(loads.values()) / (asked / 3)
    print(f"{met:.1%} of {asked} requests went to a pod that had their document; max/mean load {busiest:.3f}")
    assert met >= 0.9 and busiest <= 1.25 and set(loads) == pods


def test_a_killed_pod_is_dropped(api, release, namespace, caller):
    api.apply(engines.vllm(namespace, "tiny", PACE, vllm={"replicas": 2}))
    engines.ready(api, namespace, "tiny", 2)
    engines.answering(release, caller, "tiny")
    with load(release, caller) as running:
        eventually(lambda: len(speakers(running)) == 2, "both answer")
        victim = engines.pods(api, namespace, "tiny")[0]["metadata"]["name"]
        api.delete("Pod", namespace, victim, params={"gracePeriodSeconds": 0})
        eventually(lambda: len(speakers(running)) == 3, "a new one answers", within=90)
    # Streams that have begun break with their pod; whatever has not is sent to the other one.
    broken = [failure for _, failure in running.failures]
    assert len(broken) <= 3, f"at most the streams that ran there: {broken}"


def test_an_engine_that_sleeps_is_woken_by_what_all_gateways_want(api, release, namespace, caller):
    autoscaling = {"minReplicas": 0, "maxReplicas": 4, "targetInFlight": 4, "scaleDownDelay": "5s", "holdTimeout": "90s"}
    # A GPU costs a dollar a second.
    served(api, engines.vllm(namespace, "tiny", {**PACE, "ENGINE_LOAD_SECONDS": "2"}, gpus=1, price={"gpuHour": "3600"},
                             vllm={"autoscaling": autoscaling}))
    def replicas():
        return api.get("Deployment", namespace, "tiny-engine")["spec"].get("replicas")
    eventually(lambda: api.find("Deployment", namespace, "tiny-engine"), "it is made")
    eventually(lambda: replicas() == 0 and not engines.pods(api, namespace, "tiny"), "it sleeps", within=60)
    gateways = release.gateways()
    begun = time.monotonic()
    with ThreadPoolExecutor(9) as pool:
        asked = [pool.submit(ask, url, caller, "tiny", timeout=90) for url in gateways * 3]
        # Three requests of one gateway call for one replica, nine of all for three.
        eventually(lambda: replicas() == 3, "what all gateways hold is added up", within=60)
        assert all(len(said(one.result()).split()) == 8 for one in asked), "held until the engine was up"
    eventually(lambda: replicas() == 0 and not engines.pods(api, namespace, "tiny"), "it sleeps again", within=60)
    eventually(lambda: not names(api, namespace, "tiny"), "and holds no GPU", within=60)
    lasted = time.monotonic() - begun
    charged = engines.usd(release.metrics(), "litellm_spend_total", namespace)
    cost = engines.usd(release.metrics(OPERATORS), "turnpike_operator_engine_cost_usd_total", namespace)
    print(f"charged {charged:.2f} of {cost:.2f} USD in {lasted:.1f} s")
    # Eight words of 20 ms for each request, of which four share a GPU. Pods wait for five seconds until they go.
    assert charged >= 9 * 8 * 0.02 / 4 and cost >= 5
    assert charged < cost <= 3 * (lasted + 1), "what is not charged is idle cost"


def test_deletion_under_load(api, release, namespace, caller):
    api.apply(engines.vllm(namespace, "tiny", PACE))
    engines.ready(api, namespace, "tiny")
    engines.answering(release, caller, "tiny")
    with load(release, caller) as running:
        eventually(lambda: running.answered > 20, "the load runs")
        api.delete("ModelDeployment", namespace, "tiny")
        eventually(lambda: running.failures, "the model is gone")
        eventually(lambda: not any(api.find(kind, namespace, "tiny-engine") for kind in ("Deployment", "Service"))
                   and not api.list("Pod", namespace, "turnpike.dev/model=tiny"), "so is all that was made for it", within=90)
    others = [failure for _, failure in running.failures if not failure.startswith("NotFoundError")]
    assert not others, f"whoever was let in was answered: {others[:3]}"
