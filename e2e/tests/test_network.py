"""Which connections the chart's NetworkPolicies allow and refuse. The policies are enforced by an engine of ours on the tests'
own cluster (e2e/cluster/netpol), and by the network on another."""

import secrets

import pytest

import reach
from release import OPERATORS


@pytest.fixture(scope="module")
def clients(api, release):
    """Role -> (namespace, pod) of clients; and where each answers."""
    made = {"app": f"e2e-{secrets.token_hex(4)}", "monitoring": "monitoring"}
    for namespace in made.values():
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}, reach.client(namespace))
    where = {role: (namespace, "client") for role, namespace in made.items()}
    for role, labels in (("gateway", None), ("operator", OPERATORS)):
        [one, *_] = release.pods(labels) if labels else release.pods()
        where[role] = release.namespace, one["metadata"]["name"]
    yield {role: (*place, reach.ready(api, *place)) for role, place in where.items()}
    for namespace in made.values():
        api.delete("Namespace", None, namespace)


def allowed(clients, role, address):
    reach.allowed(*clients[role][:2], address)


def refused(clients, role, address):
    reach.refused(*clients[role][:2], address)


def test_applications_reach_gateways_by_service_and_pod(clients, release):
    allowed(clients, "app", f"turnpike-gateway.{release.namespace}.svc:4000")
    allowed(clients, "app", f"{clients['gateway'][2]}:4000")


def test_applications_do_not_reach_the_internal_ports(clients):
    allowed(clients, "app", f"{clients['gateway'][2]}:4000")
    refused(clients, "app", f"{clients['gateway'][2]}:4001")
    refused(clients, "app", f"{clients['operator'][2]}:8080")


def test_monitoring_reaches_metrics(clients):
    allowed(clients, "monitoring", f"{clients['gateway'][2]}:4001")
    allowed(clients, "monitoring", f"{clients['operator'][2]}:8080")


def test_the_operator_reaches_the_gateways_internal_port_and_the_api_server(clients):
    allowed(clients, "operator", f"{clients['gateway'][2]}:4001")
    allowed(clients, "operator", "kubernetes.default.svc:443")


def test_the_operator_reaches_no_application(clients):
    refused(clients, "operator", f"{clients['app'][2]}:4000")
    refused(clients, "operator", f"{clients['gateway'][2]}:4000")


def test_gateways_reach_engines_in_the_cluster_but_not_the_api_server(clients):
    allowed(clients, "gateway", f"{clients['app'][2]}:4000")
    allowed(clients, "gateway", f"{clients['app'][2]}:4001")
    refused(clients, "gateway", "kubernetes.default.svc:443")
    refused(clients, "gateway", f"{clients['operator'][2]}:8080")
