"""Every pod of the chart is restricted, and gateways hold nothing of the cluster's."""

import re

import pytest
import render

CASES = pytest.mark.parametrize("values", render.CASES, ids=lambda path: path.stem.removesuffix("-values"))
VOLUMES = {"configMap", "emptyDir", "projected", "secret", "persistentVolumeClaim", "csi", "downwardAPI", "ephemeral"}


@CASES
def test_pods_are_restricted(values):
    seen = 0
    for name, _, spec in render.pods(render.case(values)):
        seen += 1
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True, name
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys(), name
        for volume in spec.get("volumes", []):
            assert volume.keys() - {"name"} <= VOLUMES, name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                               "capabilities": {"drop": ["ALL"]}}, name
            assert {"requests", "limits"} <= container["resources"].keys(), name
            assert not any("hostPort" in port for port in container.get("ports", [])), name
    assert seen >= 3


@CASES
def test_variables_of_services_stay_out(values):
    """Kubernetes names them TURNPIKE_..., as the programs name theirs."""
    for name, _, spec in render.pods(render.case(values)):
        assert spec["enableServiceLinks"] is False, name


@CASES
def test_only_the_operator_has_a_token(values):
    for name, labels, spec in render.pods(render.case(values)):
        has_token = spec.get("automountServiceAccountToken", True)
        assert has_token == (labels["app.kubernetes.io/component"] in ("operator", "hook")), name


@CASES
def test_no_pod_but_gateways_passes_for_one(values):
    """The operator asks and touches whatever carries these labels."""
    for name, labels, _ in render.pods(render.case(values)):
        assert (labels["app.kubernetes.io/component"] == "gateway") == name.endswith("-gateway")


def gateway(*arguments):
    found = render.objects(*arguments)
    (workload,) = [one for one in render.of_kind(found, "Deployment", "StatefulSet") if one["metadata"]["name"].endswith("-gateway")]
    return workload["spec"]["template"]["spec"]


def test_the_shutdown_fits_the_pod():
    def seconds(text):
        return sum(int(number) * {"s": 1, "m": 60, "h": 3600}[unit] for number, unit in re.findall(r"(\d+)([smh])", text))
    for values in render.CASES:
        spec = gateway("--values", values)
        flags = dict(flag.split("=", 1) for flag in spec["containers"][0]["args"])
        took = seconds(flags["--shutdown-delay"]) + seconds(flags["--shutdown-grace"])
        assert spec["terminationGracePeriodSeconds"] == took + 10, values


def test_the_volume_has_every_part_once():
    volume = [one for one in gateway()["volumes"] if one["name"] == "bundle"][0]["projected"]["sources"]
    assert len(volume) == 256
    parts = set()
    for source in volume:
        (kind, projection), = source.items()
        (item,) = projection["items"]
        part = item["path"]
        assert item == {"key": part, "path": part}
        assert projection["optional"] is True
        assert projection["name"] == f"turnpike-bundle-{part}"
        assert kind == ("secret" if part.startswith(("keys-", "credentials-")) else "configMap")
        parts.add(part)
    assert len(parts) == 256


def test_probes_ask_the_internal_port():
    (container,) = gateway()["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "internal"


def test_images():
    def image(*arguments):
        return gateway(*arguments)["containers"][0]["image"]
    assert image() == "localhost/turnpike:0.1.0"
    assert image("--set", "image.repository=r.example.com/t,image.tag=v9") == "r.example.com/t:v9"
    digest = "sha256:" + "a" * 64
    assert image("--set", f"image.digest={digest}") == f"localhost/turnpike@{digest}"
    assert image("--set", f"image.digest={digest},gateway.image.digest=,gateway.image.tag=new") == "localhost/turnpike:new"


def test_an_unavailable_pod_is_never_part_of_a_rollout():
    for deployment in render.of_kind(render.objects(), "Deployment"):
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_with_autoscaling_helm_leaves_the_replicas_alone():
    found = render.objects("--set", "gateway.autoscaling.enabled=true")
    assert "replicas" not in render.one(found, "Deployment", "turnpike-gateway")["spec"]
    scaler = render.one(found, "HorizontalPodAutoscaler", "turnpike-gateway")
    assert scaler["spec"]["scaleTargetRef"]["name"] == "turnpike-gateway"


def test_spend_can_outlive_the_pod():
    on = ("--set", "gateway.wal.persistence=true,gateway.autoscaling.enabled=true")
    found = render.objects(*on)
    assert "turnpike-gateway" not in [one["metadata"]["name"] for one in render.of_kind(found, "Deployment")]
    workload = render.one(found, "StatefulSet", "turnpike-gateway")
    (claim,) = workload["spec"]["volumeClaimTemplates"]
    assert claim["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "4Gi"}}}
    scaler = render.one(found, "HorizontalPodAutoscaler", "turnpike-gateway")
    assert scaler["spec"]["scaleTargetRef"]["kind"] == "StatefulSet"
    assert render.one(found, "Service", workload["spec"]["serviceName"])["spec"]["selector"] == workload["spec"]["selector"]["matchLabels"]

    kept, lost = gateway(*on), gateway()
    (container,) = kept["containers"]
    assert "--wal-sync=group" in container["args"]
    assert "--wal-sync=group" not in lost["containers"][0]["args"]
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == claim["metadata"]["name"]]
    assert f"--data={mount['mountPath']}" in container["args"]
    assert claim["metadata"]["name"] not in [one["name"] for one in kept["volumes"]], "it would hide the claim"
    assert [one["emptyDir"] for one in lost["volumes"] if one["name"] == "data"] == [{"sizeLimit": "4Gi"}]
    assert kept["securityContext"] == {**lost["securityContext"], "fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch"}
    spread = {key for one in kept["topologySpreadConstraints"] for key in one["matchLabelKeys"]}
    assert spread == {"controller-revision-hash"}
    openshift = gateway(*on, "--set", "podSecurityContext.runAsUser=null,podSecurityContext.runAsGroup=null")
    assert "fsGroup" not in openshift["securityContext"], "the cluster picks it"


def test_a_single_gateway_does_not_block_the_drain_of_its_node():
    assert render.of_kind(render.objects("--set", "gateway.replicas=1"), "PodDisruptionBudget") == []
    assert len(render.of_kind(render.objects("--set", "operator.replicas=2"), "PodDisruptionBudget")) == 2
