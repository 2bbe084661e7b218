"""Values: each one has a default, a description and a row in the documents; a bad one is refused with words that help."""

import json
import shutil

import pytest
import render
import yaml

SCHEMA = json.loads((render.CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((render.CHART / "values.yaml").read_text())


def leaves(schema, path=()):
    """(path, schema) of every value that is not just a group of others."""
    for name, member in schema.get("properties", {}).items():
        if "properties" in member and name != "image":
            yield from leaves(member, (*path, name))
        else:
            yield (*path, name), member


def groups(schema, path=()):
    """Every schema of an object with listed members."""
    if "properties" in schema:
        yield path, schema
        for name, member in schema["properties"].items():
            yield from groups(member, (*path, name))
    if isinstance(schema.get("items"), dict):
        yield from groups(schema["items"], (*path, "[]"))


def test_every_value_has_a_default_and_the_reverse():
    def same(schema, values, path):
        if "properties" not in schema or values == {}:
            return
        assert set(schema["properties"]) - {"global"} == set(values), path
        for name, value in values.items():
            same(schema["properties"][name], value, f"{path}.{name}")
    same(SCHEMA, VALUES, "")


def test_the_schema_is_strict_and_says_what_things_mean():
    for path, schema in groups(SCHEMA):
        assert schema["additionalProperties"] is False, path
        assert schema["description"].endswith("."), path
        for name, member in schema["properties"].items():
            assert member["description"].endswith("."), (path, name)


@pytest.mark.parametrize(("setting", "said"), [
    ("gateway.replica=3", "'replica' not allowed"),
    ("gateway.replicas=0", "/gateway/replicas"),
    ("gateway.replicas=two", "/gateway/replicas"),
    ("operator.instance=Turn_pike", "/operator/instance"),
    ("operator.watchNamespaces={Team A}", "/operator/watchNamespaces/0"),
    ("operator.revocationTimeout=1 minute", "/operator/revocationTimeout"),
    ("operator.extraArgs={listen}", "/operator/extraArgs/0"),
    ("gateway.egress.allowCIDRs={10.0.0.1}", "/gateway/egress/allowCIDRs/0"),
    ("gateway.service.type=ExternalName", "/gateway/service/type"),
    ("gateway.httpRoute.enabled=true", "/gateway/httpRoute/parentRefs"),
    ("image.digest=abc", "/image/digest"),
    ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
    ("networkPolicy.dns.ports={}", "/networkPolicy/dns/ports"),
])
def test_a_bad_value_is_refused_by_name(setting, said):
    done = render.template("--set", setting)
    assert done.returncode != 0, setting
    assert said in done.stderr.replace(".", "/") or said in done.stderr, done.stderr


def test_values_of_parent_charts_pass():
    assert render.template("--set", "global.imageRegistry=r.example.com").returncode == 0


@pytest.fixture(scope="session")
def with_notes(tmp_path_factory):
    """The chart with its NOTES as a further object: only an installation would print them otherwise."""
    copy = tmp_path_factory.mktemp("chart") / "turnpike"
    shutil.copytree(render.CHART, copy)
    (copy / "templates/NOTES.txt").rename(copy / "notes.txt")
    (copy / "templates/notes.yaml").write_text('notes: {{ tpl (.Files.Get "notes.txt") . | toJson }}')
    return copy


def notes(chart, *arguments):
    """NOTES.txt as the user reads it."""
    done = render.helm("template", "turnpike", chart, "--namespace", render.NAMESPACE, "--kube-version", render.OLDEST,
                       "--show-only", "templates/notes.yaml", *arguments)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["notes"]


def test_the_notes_lead_to_a_first_answer(with_notes):
    text = notes(with_notes)
    assert "http://turnpike-gateway.llm.svc:4000/v1" in text
    assert "kubectl get secret turnpike-admin -n llm" in text
    assert "WARNING" not in text


def test_the_notes_tell_what_has_no_effect_and_what_is_dangerous(with_notes):
    assert "NOTE: no database: each gateway keeps spend in a file" in notes(with_notes)
    alone = notes(with_notes, "--set", "trial.redis.enabled=true")
    assert "NOTE: Redis alone counts limits of a minute" in alone
    assert "NOTE: trial.postgresql is one pod" in notes(with_notes, "--set", "trial.postgresql.enabled=true")
    assert "NOTE:" not in notes(with_notes, "--set", "database.urlSecret.name=stores")
    assert "WARNING: operator.requireSecretLabel=false" in notes(with_notes, "--set", "operator.requireSecretLabel=false")
    assert "Watched are only: a, b." in notes(with_notes, "--set", "operator.watchNamespaces={a,b}")
