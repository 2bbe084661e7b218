"""Where a tenant's models may lead: to the world and to Services of the tenant's own, and to nothing else inside."""

import secrets

import httpx
import pytest

import upstream
from expect import served
from kube import eventually
from objects import key, provider, secret
from release import ask, everywhere

GUARDED = "its address may not be dialled (egress guard)"
REACHED = {upstream.WORDS}


@pytest.fixture(scope="module")
def two(api):
    """Two namespaces with an upstream each: the tenant's and its neighbour's."""
    names = [f"e2e-{secrets.token_hex(4)}" for _ in range(2)]
    for name in names:
        api.call("POST", "/api/v1/namespaces", json={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        api.apply(secret(name, "upstream", **{"api-key": upstream.KEY}))
        upstream.start(api, name)
    for name in names:
        upstream.wait(api, name)
    yield names
    for name in names:
        api.delete("Namespace", None, name)


@pytest.fixture(scope="module")
def tenant(two):
    """The tenant's namespace."""
    return two[0]


@pytest.fixture(scope="module")
def caller(api, release, tenant):
    """The tenant's key."""
    value = "sk-" + secrets.token_hex(24)
    served(api, key(tenant, "caller", value))
    return value


@pytest.fixture
def listener(api, release):
    """A server that notes what reaches it, and that no NetworkPolicy keeps the gateways from."""
    server = upstream.Listener(api)
    policy = server.opened(release)
    api.apply(policy)
    yield server
    api.delete("NetworkPolicy", release.namespace, policy["metadata"]["name"])
    server.close()


def model(api, namespace, base_url):
    """A model that leads there, programmed; its name."""
    name = f"to-{secrets.token_hex(4)}"
    served(api, provider(namespace, name, base_url, provider={"model": "echo"}))
    return name


def faults(release, caller, name):
    """What every gateway says: status, code and message."""
    def one(url):
        response = ask(url, caller, name)
        error = response.json()["error"]
        return response.status_code, error["code"], error["message"]
    return {one(url) for url in release.gateways()}


def guarded(release, caller, name):
    """Every gateway refuses to dial, in words that name no address."""
    [(status, code, message)] = faults(release, caller, name)
    assert (status, code) == (503, "backend_unreachable") and GUARDED in message, message
    return True


@pytest.mark.parametrize("host", ["upstream.{0}.svc", "upstream.{0}.svc.cluster.local", "UPSTREAM.{0}.SVC",
                                  "upstream.{0}.svc.cluster.local."])
def test_a_service_of_the_own_namespace_is_reached(api, release, tenant, caller, host):
    name = model(api, tenant, f"http://{host.format(tenant)}:4000/v1")
    assert everywhere(release, caller, name) == REACHED


def test_streams_come_through(api, release, tenant, caller):
    name = model(api, tenant, f"http://upstream.{tenant}.svc:4000/v1")
    request = {"model": name, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx.post(f"{release.url}/v1/chat/completions", headers={"authorization": f"Bearer {caller}"}, json=request,
                        timeout=20)
    assert answer.status_code == 200 and answer.text.rstrip().endswith("data: [DONE]"), answer.text


@pytest.mark.parametrize("base_url", [
    # The gateway's own listeners, in every spelling that a resolver takes.
    "http://127.0.0.1:4001/v1", "http://localhost:4001/v1", "http://[::1]:4001/v1", "http://127.1:4001/v1",
    "http://2130706433:4001/v1", "http://0x7f.1:4001/v1", "http://0.0.0.0:4001/v1", "http://[::ffff:127.0.0.1]:4001/v1",
    # Clouds' metadata, link-local and multicast.
    "http://169.254.169.254/latest", "http://[fe80::1]:80/v1", "http://[fd00:ec2::254]/latest", "http://224.0.0.1/v1",
    "http://168.63.129.16/v1", "http://100.100.100.200/latest",
    # Private ranges.
    "http://10.0.0.1/v1", "http://172.16.0.1/v1", "http://192.168.0.1/v1", "http://100.64.0.1/v1", "http://[fc00::1]/v1",
    # The cluster's own.
    "https://kubernetes.default.svc/v1", "http://kube-dns.kube-system.svc:53/v1",
])
def test_inner_addresses_are_refused_when_dialled(api, release, tenant, caller, base_url):
    assert guarded(release, caller, model(api, tenant, base_url))


def test_a_neighbours_service_and_bare_addresses_are_refused(api, release, two, tenant, caller):
    other = two[1]
    addresses = [api.get("Pod", space, "upstream")["status"]["podIP"] for space in two]
    addresses += [api.get("Service", space, "upstream")["spec"]["clusterIP"] for space in two]
    hosts = [f"upstream.{other}.svc", f"upstream.{other}.svc.cluster.local", *addresses,
             # Almost the own one: a Service that is not there, and names around it.
             f"upstream.{tenant}", f"{addresses[0].replace('.', '-')}.{tenant}.pod.cluster.local",
             f"turnpike-gateway.{release.namespace}.svc"]
    for host in hosts:
        assert guarded(release, caller, model(api, tenant, f"http://{host}:4000/v1")), host
    # The neighbour's own models reach it, so nothing but the guard stood in the way.
    value = "sk-" + secrets.token_hex(24)
    served(api, key(other, "theirs", value))
    assert everywhere(release, value, model(api, other, f"http://upstream.{other}.svc:4000/v1")) == REACHED


def test_an_external_name_opens_nothing(api, release, two, tenant, caller):
    for number, target in enumerate((f"upstream.{two[1]}.svc.cluster.local", "localhost", "kubernetes.default.svc.cluster.local")):
        alias = f"alias-{number}"
        api.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": alias, "namespace": tenant},
                   "spec": {"type": "ExternalName", "externalName": target}})
        [fault] = faults(release, caller, model(api, tenant, f"http://{alias}.{tenant}.svc:4000/v1"))
        assert fault[:2] == (503, "backend_unreachable"), fault
        # A name that does not even resolve is refused in other words.
        assert GUARDED in fault[2] or (target == "localhost" and "could not be resolved" in fault[2]), fault


def test_a_service_that_turns_into_an_external_name_closes(api, release, two, tenant, caller):
    turning = upstream.service(tenant, "turning", selector={"app": "upstream"})
    api.apply(turning)
    name = model(api, tenant, f"http://turning.{tenant}.svc:4000/v1")
    eventually(lambda: everywhere(release, caller, name) == REACHED, "the own Service is reached")
    api.apply({"apiVersion": "v1", "kind": "Service", "metadata": turning["metadata"],
               "spec": {"type": "ExternalName", "externalName": f"upstream.{two[1]}.svc.cluster.local", "ports": turning["spec"]["ports"]}})
    # Open connections to what it was are no way around either.
    eventually(lambda: everywhere(release, caller, name) == {"503 backend_unreachable"}, "it is refused")
    assert guarded(release, caller, name)
    api.delete("Service", tenant, "turning")
    eventually(lambda: api.find("Service", tenant, "turning") is None, "the Service is gone")
    api.apply(turning)
    eventually(lambda: everywhere(release, caller, name) == REACHED, "it is reached again")


def test_nothing_is_sent_where_the_guard_refuses(api, release, tenant, caller, listener):
    bare = model(api, tenant, f"http://{listener.address}:{listener.port}/v1")
    assert guarded(release, caller, bare)
    assert not listener.seen, "no connection was made, so no credential was sent"
    own = model(api, tenant, listener.behind(api, tenant, "listener"))
    eventually(lambda: everywhere(release, caller, own) == REACHED, "the own Service is reached")
    assert {headers["authorization"] for _, headers in listener.seen} == {f"Bearer {upstream.KEY}"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(api, release, two, tenant, caller, listener, status):
    name = model(api, tenant, listener.behind(api, tenant, "redirecting"))
    eventually(lambda: everywhere(release, caller, name) == REACHED, "the own Service is reached")
    target = api.get("Pod", two[1], "upstream")["status"]["podIP"]
    for location in (f"http://{target}:4000/v1/chat/completions", f"http://{listener.address}:{listener.port}/elsewhere"):
        listener.seen.clear()
        listener.answer = (status, {"location": location}, upstream.completion("redirected"))
        for answered in (ask(url, caller, name) for url in release.gateways()):
            assert answered.status_code == 502 and "location" not in answered.headers, answered.text
        assert {path for path, _ in listener.seen} == {"/v1/chat/completions"}
