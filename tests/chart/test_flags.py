"""What the chart says to the programs is what they understand."""

import re

import pytest
import render


def understood(program):
    """Flags and subcommands of a program, from the only files that declare them."""
    folder = render.ROOT / program.removeprefix("turnpike-") / "src"
    source = "".join(path.read_text() for path in [folder / "args.rs", *sorted(folder.glob("args/*.rs"))])
    flags = re.findall(r"#\[arg\(long.*?\)\]\n(?:\s*#\[.*\n)*\s*(?:pub )?(\w+):", source)
    commands = re.search(r"pub enum Command \{(.*?)\n\}", source, re.S)[1]
    words = [re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() for name in re.findall(r"^    ([A-Z]\w+)", commands, re.M)]
    return {"--" + name.replace("_", "-") for name in flags} | set(words)


@pytest.mark.parametrize("values", render.CASES, ids=lambda path: path.stem.removesuffix("-values"))
def test_flags_exist(values):
    used = set()
    for name, _, spec in render.pods(render.case(values)):
        for container in spec["containers"]:
            program = container.get("command", [""])[0]
            if program not in ("turnpike-gateway", "turnpike-operator"):
                continue
            for argument in container["args"]:
                word = argument.split("=", 1)[0]
                assert word in understood(program), f"{name}: {program} {argument}"
                used.add((program, word))
    assert {("turnpike-gateway", "--bundle"), ("turnpike-gateway", "health"), ("turnpike-operator", "--instance")} <= used


def test_lists_become_flags():
    found = render.objects("--set", "operator.watchNamespaces={a,b},operator.clusterModelNamespaces={c}",
                           "--set", "gateway.ambientIdentityNamespaces={d}")
    operator = render.one(found, "Deployment", "turnpike-operator")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {"--watch-namespaces=a,b", "--cluster-model-namespaces=c", "--ambient-identity-namespaces=d"} <= set(operator)
    hook = render.one(found, "Job", "turnpike-finalizers")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert hook == ["--instance=turnpike", "--watch-namespaces=a,b", "release-finalizers"]


def test_jobs_have_rights_of_their_own_and_no_more():
    """Each Job's account exists before it, and can do its work only where that is."""
    found = render.objects("--set", "operator.watchNamespaces={a,llm}")
    for account in ("turnpike-crds", "turnpike-finalizers"):
        hook = render.one(found, "Job", account)["metadata"]["annotations"]["helm.sh/hook"]
        own = [one for one in found if account.removeprefix("turnpike-") in one["metadata"]["name"]]
        assert {one["metadata"]["annotations"]["helm.sh/hook"] for one in own} == {hook}
        assert all(one["metadata"]["annotations"].get("helm.sh/hook-weight") == "-5" for one in own if one["kind"] != "Job")
    namespaces = {one["metadata"]["namespace"]: one["rules"] for one in render.of_kind(found, "Role")
                  if one["metadata"]["name"].endswith("-finalizers")}
    assert set(namespaces) == {"a", "llm"}
    assert [rule["resources"] for rule in namespaces["a"]] == [["virtualkeys"]]
    assert [rule["resources"] for rule in namespaces["llm"]] == [["deployments/scale"], ["pods"], ["virtualkeys"]]
    assert not [one for one in render.of_kind(found, "ClusterRole") if one["metadata"]["name"].endswith("-finalizers")]
