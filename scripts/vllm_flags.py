#!/usr/bin/env python3
"""Writes engine/data/vllm-VERSION.json: the names of vLLM's flags, endpoints, metrics and quantization methods.

Run by hand when the default image gets another version: vllm_flags.py VERSION. It downloads that version's package (some
300 MB) with pip, without its dependencies, and reads names out of the sources; nothing of the package is run.
"""

import ast
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "engine/data"
ENGINE, SERVER = "vllm/engine/arg_utils.py", "vllm/entrypoints/openai/cli_args.py"
SERVERS = (SERVER, "vllm/entrypoints/common/cli_args.py")
SERVE = "vllm/entrypoints/cli/serve.py"
QUANTIZATION = "vllm/model_executor/layers/quantization/__init__.py"
METHODS = {"get", "post", "websocket"}


def main():
    """Downloads, reads, writes."""
    if len(sys.argv) != 2 or not re.fullmatch(r"[\w.]+", sys.argv[1]):
        sys.exit(__doc__)
    version = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
                        "--dest", folder, f"vllm=={version}"], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            sources = {name: wheel.read(name).decode() for name in wheel.namelist() if name.endswith(".py")}
    data = {"version": version} | names(sources)
    for kind, found in data.items():
        if not found:
            sys.exit(f"no names found for {kind}: vLLM's sources have changed, and so must this script")
    path = DATA / f"vllm-{version}.json"
    path.write_text(json.dumps(data, indent=1) + "\n")
    print(f"{path}: " + ", ".join(f"{len(found)} {kind}" for kind, found in data.items() if kind != "version"))
    print("now set VLLM_VERSION in engine/src/settings.rs and the file's name in engine/src/flags.rs")


def names(sources):
    """Everything that the data file has beside the version."""
    server = set().union(*(flags(sources[path]) | fields(sources[path]) for path in SERVERS if path in sources))
    engine = flags(sources[ENGINE])
    own = flags(sources[SERVE]) | {"--config"}
    return {
        "engine": sorted(engine),
        "server": sorted(server - engine - {"--headless", "--api-server-count", "--config"}),
        "serve": sorted((own | ({"--headless", "--api-server-count"} & server)) - engine),
        "endpoints": sorted(set().union(*map(endpoints, sources.values()))),
        "metrics": sorted({name for text in sources.values() for name in re.findall(r'"(vllm:[a-z0-9_]+)"', text)}),
        "quantization": sorted(quantization(sources[QUANTIZATION])),
    }


def flags(source):
    """Long flags that a file gives to add_argument, under the name that has dashes."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            words = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            found |= {word for word in words if word.startswith("--")}
    return found


def fields(source):
    """Flags that a file makes of the fields of its dataclasses of arguments."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name.endswith("Args"):
            members = [one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)]
            found |= {"--" + member.replace("_", "-") for member in members}
    return found


def endpoints(source):
    """Method and path of every route that a file declares."""
    found = set()
    if not re.search(r"@\w+\.(get|post|websocket)\(", source):
        return found
    for node in ast.walk(ast.parse(source)):
        for call in getattr(node, "decorator_list", []):
            method = getattr(getattr(call, "func", None), "attr", "")
            if method not in METHODS or not call.args or not isinstance(call.args[0], ast.Constant):
                continue
            path = call.args[0].value
            if isinstance(path, str) and path.startswith("/"):
                found.add(f"{method.upper()} {path}")
    return found


def quantization(source):
    """The members of the literal type QuantizationMethods."""
    for node in ast.walk(ast.parse(source)):
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        if any(getattr(one, "id", "") == "QuantizationMethods" for one in targets) and node.value is not None:
            return {one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return set()


if __name__ == "__main__":
    main()
