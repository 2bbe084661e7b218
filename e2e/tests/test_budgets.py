"""Budgets over three gateways that share a PostgreSQL: never overspent, used to the end, and shown in status as they move."""

import re
import subprocess
import threading
import time
from functools import partial

import httpx
import pytest

import kube
import upstream
from crowd import Crowd
from expect import served
from kube import eventually
from objects import key, namespaced, of_instance, provider, secret
from postgres import Postgres
from release import Release, ask

CLIENTS = 1000
NANO = 1_000_000_000
ours = partial(of_instance, "budgets")


@pytest.fixture(scope="module")
def database(api, store_images):
    """A PostgreSQL beside the release."""
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "budgets-system"}})
    started = Postgres(api, "budgets-system")
    started.start()
    yield started
    api.delete("Namespace", None, "budgets-system")


@pytest.fixture(scope="module")
def shared(api, database):
    """An installation of its own, whose three gateways share the database."""
    api.apply(secret(database.namespace, "stores", use=None, url=database.url))
    release = Release(api, name="budgets", namespace=database.namespace, **{
        "operator.instance": "budgets", "gateway.replicas": 3, "gateway.resources.requests.cpu": "10m",
        "database.urlSecret.name": "stores"})
    release.install()
    yield release
    release.uninstall()


@pytest.fixture
def tenant(api, shared, namespace):
    """A namespace with a model behind a server: about 0.4 cents a request, at most 0.5."""
    api.apply(secret(namespace, "upstream", **{"api-key": upstream.KEY}))
    upstream.start(api, namespace)
    upstream.wait(api, namespace)
    price = {"inputPerMillion": "1.00", "outputPerMillion": "10.00", "perRequest": "0.004"}
    served(api, ours(provider(namespace, "gpt", f"http://upstream.{namespace}.svc:4000/v1", provider={"model": "echo"},
                              price=price)))
    return namespace


def budget(namespace, usd, **spec):
    """What all keys of the namespace may spend in a month."""
    limits = [{"window": "Month", "usd": usd}]
    return ours(namespaced("Budget", namespace, "team", {"scope": {"namespace": True}, "limits": limits, **spec}))


def request(model, tokens):
    """A request of at most so many tokens."""
    return {"model": model, "max_tokens": tokens, "messages": [{"role": "user", "content": "Hello"}]}


def call(client, release, value, model="gpt", tokens=50):
    """One request. On a busy machine the store may be too slow to say what is left, or the upstream to answer: SDKs try that
    again."""
    for _ in range(60):
        answer = client.post(f"{release.url}/v1/chat/completions", headers={"authorization": f"Bearer {value}"}, timeout=60,
                             json=request(model, tokens))
        if answer.status_code < 500:
            return answer
        time.sleep(0.25)
    return answer


def is_refused(response):
    """For want of budget, in the words that SDKs do not retry."""
    if response.status_code == 200:
        return False
    assert response.status_code == 429, f"{response.status_code} {response.text}"
    assert response.json()["error"]["code"] == "insufficient_quota", response.text
    return True


def logged(database, namespace):
    """What the spend log says that requests for the namespace's models cost, nano-USD."""
    return database.number(f"select coalesce(sum(cost_nano), 0) from spend_row where model like '{namespace}/%'")


def status(api, namespace, kind="Budget", name="team"):
    """An object's status."""
    return api.get(kind, namespace, name).get("status", {})


def nano(text):
    """A decimal of USD in nano-USD."""
    whole, _, fraction = text.partition(".")
    return int(whole) * NANO + int(fraction.ljust(9, "0"))


def shows(api, database, namespace):
    """The budget's status once it says what the spend log adds up to, within what is shown."""
    def same():
        found = status(api, namespace)
        return "spent" in found and abs(nano(found["spent"]) - logged(database, namespace)) <= 500 and found
    return eventually(same, "the status is the sum of the spend log", within=30, every=0.5)


@pytest.fixture
def slow(api, shared, tenant):
    """A second model, whose server takes its time: at most 0.0099 USD a request, and 0.0008 in truth. And the server."""
    server = upstream.Listener(api)
    api.apply(server.opened(shared))
    server.answer = late
    price = {"inputPerMillion": "1.00", "outputPerMillion": "10.00", "perRequest": "0.0008"}
    served(api, ours(provider(tenant, "slow", server.behind(api, tenant, "slow"), provider={"model": "echo"}, price=price)))
    yield server
    server.close()


def late(_):
    """An answer after a while, so that requests overlap."""
    time.sleep(0.3)
    return 200, {}, upstream.completion(upstream.WORDS)


class Watch:
    """How many requests the gateways serve at the same time, looked at again and again."""

    def __init__(self, release):
        self.release, self.most, self.done = release, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def look(self):
        """All gateways' figures, added up."""
        while not self.done.wait(0.2):
            pages = self.release.metrics()
            found = [re.search(r"^turnpike_in_flight_requests (\d+)", page, re.MULTILINE) for page in pages]
            self.most = max(self.most, sum(int(one[1]) for one in found if one))


def test_a_thousand_clients_spend_a_limit_to_the_end_and_not_beyond(api, shared, database, tenant, slow, value):
    served(api, budget(tenant, "1.00", alertThresholds=[50, 100]), ours(key(tenant, "app", value)))
    crowd = Crowd(shared.url, value, request("slow", 900))
    with Watch(shared) as watch:
        crowd.exhaust(CLIENTS)
    with httpx.Client() as client:
        assert is_refused(call(client, shared, value, "slow", 900)), "nothing is in flight, and nothing more fits"
    rows = partial(database.number, f"select count(cost_nano) from spend_row where model like '{tenant}/%'")
    eventually(lambda: rows() >= crowd.answers[200, None], "a row, with its cost, of each request that was answered")
    shown = shows(api, database, tenant)
    spent = logged(database, tenant)
    print(f"spent {spent / NANO:.6f} of 1.00 USD with {CLIENTS} clients; {crowd.most_in_flight} requests at once, {watch.most} of them "
          f"seen at once by the gateways; answers: {dict(crowd.answers)}, attempts: {len(slow.seen)}")
    assert 0.95 * NANO <= spent <= NANO
    assert crowd.most_in_flight == CLIENTS and watch.most >= CLIENTS * 0.9, "they were there at the same time"
    runs = database.number(f"select count(distinct incarnation) from spend_row where model like '{tenant}/%'")
    assert runs == 3, "the Service led to all gateways"
    assert (shown["limitText"], shown["window"]) == ("1.00 USD", "Month")
    assert shown["usedPercent"] == spent * 100 // NANO
    assert {"key": "app", "spent": shown["spent"]} in eventually(
        lambda: (top := status(api, tenant).get("top")) and top[0]["spent"] == shown["spent"] and top,
        "the key that spent it is named", within=30)
    told = eventually(lambda: [note for _, reason, note in api.events(tenant, "team") if reason == "ThresholdReached"],
                      "the threshold is told")
    assert "50 % of the limit of 1.00 USD a month is used" in told
    spender = eventually(lambda: (found := status(api, tenant, "VirtualKey", "app")).get("lastUsedTime") and found,
                         "the key shows that it was used", within=30)
    assert 0 < nano(spender["spent"]) <= NANO


def test_status_moves_as_requests_are_made_and_at_once_when_the_limit_is_used_up(api, shared, database, tenant, value):
    served(api, budget(tenant, "0.10", enforcement="Soft", alertThresholds=[80]), ours(key(tenant, "app", value)))
    watch = subprocess.Popen(["kubectl", "get", "bud", "team", "--namespace", tenant, "--watch", "--no-headers"],
                             stdout=subprocess.PIPE, text=True)
    try:
        with httpx.Client() as client:
            assert not is_refused(call(client, shared, value))
            began = time.monotonic()
            first = eventually(lambda: nano(status(api, tenant).get("spent", "0")) > 0 and status(api, tenant), "it moves", 15)
            print(f"first figures after {time.monotonic() - began:.1f} s")
            assert first["usedPercent"] < 80 and kube.condition(api.get("Budget", tenant, "team"), "WithinBudget")[0] == "True"
            # Below the ten seconds between figures: that the limit is used up cannot wait.
            while not is_refused(call(client, shared, value)):
                pass
            began = time.monotonic()
            eventually(lambda: kube.condition(api.get("Budget", tenant, "team"), "WithinBudget")[1] == "BudgetExceeded",
                       "it is said that the limit is used up", 10)
            print(f"used up said after {time.monotonic() - began:.1f} s")
        eventually(lambda: kube.condition(api.get("VirtualKey", tenant, "app"), "Active")[1] == "BudgetExceeded",
                   "the key says why it is refused", 10)
        assert status(api, tenant, "VirtualKey", "app")["blockedBy"] == [{"kind": "Budget", "name": "team"}]
        assert kube.is_true(api.get("Budget", tenant, "team"), "Ready"), "it does what it is for"
        assert any(kind == "Warning" for kind, reason, _ in eventually(
            lambda: [one for one in api.events(tenant, "team") if one[1] == "BudgetExceeded"], "it is told"))
    finally:
        watch.terminate()
        lines = [line.split() for line in watch.communicate(timeout=30)[0].splitlines()]
    # NAME LIMIT SPENT USED% WINDOW RESETS OK AGE; a limit's unit is a word of its own.
    assert any(line[-2] == "False" for line in lines), lines
    assert len({tuple(line[3:5]) for line in lines if len(line) == 9}) >= 2, lines


def test_figures_of_a_silent_database_are_marked_and_heal(api, shared, database, tenant, value):
    served(api, budget(tenant, "5.00"), ours(key(tenant, "app", value)))
    synced = lambda: kube.condition(api.get("Budget", tenant, "team"), "SpendSynced")  # noqa: E731
    with httpx.Client() as client:
        assert not is_refused(call(client, shared, value))
        before = shows(api, database, tenant)
        database.stop()
        said = eventually(lambda: synced()[1] == "StoreUnavailable" and synced(), "the figures are marked", 90)
        assert said[0] == "False" and "has not answered since" in said[2]
        assert status(api, tenant)["spent"] == before["spent"], "what was known stays"
        database.resume()
        eventually(lambda: synced()[0] == "True", "they are current again", 60)
        eventually(lambda: ask(shared.url, value, "gpt").status_code == 200, "requests go on", 60)
    shows(api, database, tenant)
