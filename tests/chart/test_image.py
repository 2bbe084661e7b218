"""The Dockerfile, as far as that shows without a Docker engine: what it names exists, and nothing secret goes in."""

import re
import tomllib

import render

TEXT = (render.ROOT / "Dockerfile").read_text()
CARGO = tomllib.loads((render.ROOT / "Cargo.toml").read_text())
INSTRUCTIONS = [line.split(None, 1) for line in re.sub(r"\\\n", " ", TEXT).splitlines() if line and not line.startswith("#")]
IGNORED = [line for line in (render.ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]


def of(name):
    return [rest for instruction, rest in INSTRUCTIONS if instruction == name]


def test_the_compiler_is_the_one_that_the_workspace_wants():
    build, run = of("FROM")
    assert build == f"docker.io/library/rust:{CARGO['workspace']['package']['rust-version']}-bookworm AS build"
    # The same glibc as the build's, and nothing to log in with.
    assert run == "gcr.io/distroless/cc-debian12:nonroot"


def test_what_is_built_is_what_is_copied_and_there_is_such_a_program():
    (build,) = of("RUN")
    (command,) = [words for words in map(str.split, build.split("&&")) if words[0] == "bench/release"]
    program, folder, *packages = command
    assert packages == ["turnpike-gateway", "turnpike-operator"]
    assert (render.ROOT / program).exists() and not is_ignored(render.ROOT / program)
    copied = [word.removeprefix(f"{folder}/") for word in of("COPY")[-1].split() if word.startswith(f"{folder}/")]
    assert copied == packages
    for package in packages:
        folder = render.ROOT / package.removeprefix("turnpike-")
        assert tomllib.loads((folder / "Cargo.toml").read_text())["package"]["name"] == package
        assert (folder / "src/main.rs").exists()


def test_the_image_has_the_chart_s_commands_and_user():
    found = [container["command"] for _, _, spec in render.pods(render.objects()) for container in spec["containers"]]
    assert {command for (command,) in found} == {"turnpike-gateway", "turnpike-operator"}
    (user,) = of("USER")
    for _, _, spec in render.pods(render.objects()):
        context = spec["securityContext"]
        assert user == f"{context['runAsUser']}:{context['runAsGroup']}"


def is_ignored(path):
    """Whether .dockerignore keeps a path out of the build: a pattern is of whole names from the root, and holds for what is below."""
    patterns = [re.escape(line.strip("/")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*") for line in IGNORED]
    return any(re.fullmatch(pattern + "(/.*)?", str(path.relative_to(render.ROOT))) for pattern in patterns)


def test_nothing_that_the_programs_are_built_from_is_ignored():
    """What a crate's folder has, and what its code includes from elsewhere."""
    needed = [render.ROOT / name for name in ("Cargo.toml", "Cargo.lock")]
    for member in CARGO["workspace"]["members"]:
        needed += [path for path in (render.ROOT / member).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    included = 0
    for code in [path for path in needed if path.suffix == ".rs"]:
        for name in re.findall(r'\binclude(?:_str|_bytes)?!\(\s*"([^"]+)"', code.read_text()):
            needed.append((code.parent / name).resolve())
            included += 1
    assert included > 5
    assert not [path for path in needed if not path.exists() or is_ignored(path)]


def test_what_should_not_be_in_an_image_s_history_is_ignored():
    for name in ("data/turnpike.db", "turnpike-data/x", ".git/config", "target/release/x", "bench/__pycache__/x"):
        assert is_ignored(render.ROOT / name), name
