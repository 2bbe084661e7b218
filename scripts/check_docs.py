"""Holds the documents to the code: what they name must exist, and what users can set must be named.

Checked are flags, variables, defaults, make targets, links, paths, fields of the resources, headers, error codes,
metrics, providers, direct dependencies, and the form of the ADRs. No IO but reading files of the repository.
"""

import re
import subprocess
import sys
from pathlib import Path

try:
    import yaml
except ImportError:  # then keys of YAML blocks are looked up one by one, without their nesting
    yaml = None

CONFIGURATION = Path("docs/configuration.md")
PROVIDERS = Path("docs/providers.md")
ARGS = Path("gateway/src/args.rs")
CLOUD_ARGS = Path("gateway/src/args/clouds.rs")
OPERATOR_ARGS = Path("operator/src/args.rs")
CRDS = Path("charts/turnpike/crds")
ADRS = Path("docs/adr")
ADR_LINES = 60
# Flags of other programs that documents show.
FOREIGN_FLAGS = {"--all", "--bin", "--flatten", "--for", "--ignored", "--locked", "--offline", "--help", "--create-namespace", "--force-conflicts",
                 "--include-crds", "--namespace", "--net", "--no-headers", "--nocapture", "--previous", "--raw",
                 "--reset-then-reuse-values", "--resources", "--server-side", "--set",
                 "--subresource", "--target", "--test", "--type", "--wait", "--workspace"}
# Members of YAML blocks that no CRD describes.
OBJECT_KEYS = {"apiVersion", "kind", "metadata", "name", "namespace", "labels", "annotations", "spec", "stringData",
               "data", "type"}

findings = []


def complain(place, text):
    """Notes a finding."""
    findings.append(f"{place}: {text}")


def read(*paths):
    """The text of files, folders of Rust files, or both."""
    texts = []
    for path in map(Path, paths):
        files = sorted(path.rglob("*.rs")) if path.is_dir() else [path]
        texts += [file.read_text() for file in files]
    return "\n".join(texts)


def tracked():
    """Every file of the repository and every folder above one, as strings."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
                            check=True, capture_output=True, text=True).stdout
    files = {name for name in listed.split("\0") if name and Path(name).is_file()}
    return files | {str(folder) for name in files for folder in Path(name).parents}


def documents(known):
    """Path -> text of each document."""
    return {Path(name): Path(name).read_text() for name in sorted(known)
            if name.endswith(".md") and not name.startswith(("tests/", "target/"))}


def lines(text):
    """Line number, line."""
    return enumerate(text.splitlines(), 1)


def fences(text, language):
    """Line number and content of each fenced block of a language."""
    for found in re.finditer(rf"^```{language}\n(.*?)^```", text, re.M | re.S):
        yield text.count("\n", 0, found.start()) + 2, found[1]


def options(source):
    """Flag -> (variable, default as written in Rust) of a clap structure."""
    found = {}
    for attribute, name in re.findall(r"#\[arg\(long(.*?)\)\]\s*pub (\w+):", source, re.S):
        variable = re.search(r'env = "(\w+)"', attribute)
        default = re.search(r'default_value(?:_t)? = ("[^"]*"|[^,]+)', attribute)
        default = default and default[1].strip()
        if default and "::" in default:  # a value may have a name of its own
            named = re.search(rf'#\[value\(name = ("[^"]*")\)\]\s+{default.rsplit("::", 1)[1]}\b', source)
            default = named[1] if named else default
        found["--" + name.replace("_", "-")] = (variable and variable[1], default)
    return found


def as_shown(default):
    """A default in Rust as the table of flags writes it."""
    if default is None:
        return None
    if default.startswith('"'):
        return default.strip('"')
    if default in ("true", "false"):
        return default
    if "::" in default:
        return default.rsplit("::", 1)[1].lower()
    value = 1
    for factor in default.replace("_", "").split("*"):
        value *= int(factor)
    return f"{value >> 20} MiB" if value >= 1 << 20 else str(value)


def check_flags(docs):
    """The tables of flags are those of the command lines, and no document names another flag."""
    gateway, operator = options(ARGS.read_text()) | options(CLOUD_ARGS.read_text()), options(OPERATOR_ARGS.read_text())
    commands = read(ARGS, "gateway/src/import_litellm.rs")
    subcommand = {f"--{name.replace('_', '-')}" for name in re.findall(r"#\[arg\(long[^]]*\)\]\s+(?:pub )?(\w+):", commands)}
    bench = {flag for path in Path("bench/src").rglob("args.rs")
             for flag in re.findall(r"#\[arg\(long.*?\)\]\s*(?:pub(?:\(crate\))? )?(\w+):", path.read_text(), re.S)}
    known = (set(gateway) | set(operator) | subcommand | {"--" + flag.replace("_", "-") for flag in bench}
             | FOREIGN_FLAGS)
    for path, text in docs.items():
        for number, line in lines(text):
            for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", line):
                if flag not in known:
                    complain(f"{path}:{number}", f"{flag} is no flag of {ARGS} or {OPERATOR_ARGS}")
    of_gateway, _, of_operator = docs[CONFIGURATION].partition("\n## The operator\n")
    check_table(gateway, of_gateway, "gateway")
    check_table(operator, of_operator, "operator")


def check_table(flags, text, program):
    """The table of flags in a text is the one of a command line."""
    rows = {}
    for line in text.splitlines():
        if row := re.match(r"\| `(--[a-z0-9-]+)[^`]*` \| `(\w+)` \|([^|]*)\|", line):
            rows[row[1]] = (row[2], row[3].strip().strip("`"))
    for flag, (variable, default) in flags.items():
        if flag not in rows:
            complain(CONFIGURATION, f"the {program}'s table of flags lacks {flag}")
            continue
        if rows[flag][0] != variable:
            complain(CONFIGURATION, f"{flag} has the variable {variable}, not {rows[flag][0]}")
        if default and rows[flag][1] != as_shown(default):
            complain(CONFIGURATION, f"{flag} has the default {as_shown(default)}, not {rows[flag][1]}")
    for flag in rows.keys() - flags.keys():
        complain(CONFIGURATION, f"{flag} is in the {program}'s table of flags only")


def check_variables(docs):
    """Every TURNPIKE_ variable is read by somebody."""
    known = set(re.findall(r"TURNPIKE_[A-Z_]+", read(ARGS, CLOUD_ARGS, OPERATOR_ARGS, "Makefile", "scripts/lib.sh", "scripts/test.sh",
                                                          "e2e/tests/harness/release.py")))
    for path, text in docs.items():
        for number, line in lines(text):
            for variable in re.findall(r"TURNPIKE_[A-Z_]+", line):
                if variable not in known:
                    complain(f"{path}:{number}", f"nothing reads {variable}")


def check_targets(docs):
    """Every make target exists; a row of the roadmap that says `not yet` may name one to come."""
    known = set(re.findall(r"^([a-z0-9-]+):.*##", Path("Makefile").read_text(), re.M))
    for path, text in docs.items():
        for number, line in lines(text):
            for target in re.findall(r"(?:`|^|\.\.\. )make ([a-z0-9-]+)", line):
                if target not in known and "| not yet |" not in line:
                    complain(f"{path}:{number}", f"there is no make {target}")


def anchors(text):
    """Anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def check_links(docs, known):
    """Relative links lead to files and headings."""
    for path, text in docs.items():
        for number, line in lines(text):
            for target in re.findall(r"\]\(([^)\s]+)\)", line):
                if re.match(r"[a-z]+:", target):
                    continue
                place, _, anchor = target.partition("#")
                file = path if not place else Path(*path.parts[:-1], place)
                parts = []
                for part in file.parts:
                    parts = parts[:-1] if part == ".." else parts + [part]
                file = Path(*parts)
                if str(file) not in known:
                    complain(f"{path}:{number}", f"{target} leads nowhere")
                elif anchor and anchor not in anchors(file.read_text()):
                    complain(f"{path}:{number}", f"{target}: no such heading")


def check_paths(docs, known):
    """Paths in code spans exist, and Rust files named in drawings do as well."""
    tops = {name.split("/")[0] for name in known if "/" in name}
    for path, text in docs.items():
        for number, line in lines(text):
            spans = [span.strip("/") for span in re.findall(r"`([\w.][\w./-]*/[\w./-]*)`", line)]
            named = [span for span in spans if span.split("/")[0] in tops and not span.startswith("data/")]
            drawn = re.findall(r"(?<![\w`/<>.*-])((?:[\w-]+/)+\w+\.rs)\b", line)
            for name in named + drawn:
                if name not in known and f"gateway/src/{name}" not in known:
                    complain(f"{path}:{number}", f"there is no {name}")


def schemas():
    """Kind -> schema; without PyYAML the set of all names and values under None."""
    texts = [path.read_text() for path in sorted(CRDS.glob("*.yaml"))]
    if yaml is None:
        words = re.findall(r"^\s*(?:- )?\"?([A-Za-z][\w.-]*)\"?:?", "\n".join(texts), re.M)
        return {None: set(words)}
    crds = [yaml.safe_load(text) for text in texts]
    return {crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in crds}


def walk(value, schema, place, field):
    """Compares a value with its schema: names of members, and values of enums."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if isinstance(value, dict):
        for name, member in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if inner is None:
                complain(place, f"{field}.{name} is no field")
            elif isinstance(inner, dict):
                walk(member, inner, place, f"{field}.{name}")
    elif isinstance(value, list):
        for member in value:
            walk(member, schema.get("items", {}), place, f"{field}[]")
    elif "enum" in schema and value not in schema["enum"]:
        complain(place, f"{field} cannot be {value}")


def check_yaml(docs):
    """Manifests in documents fit the schema, and `spec.` paths in them exist."""
    known = schemas()
    for path, text in docs.items():
        for number, block in fences(text, "yaml"):
            if yaml is None:
                # Members of these two are parameters of a request, not fields.
                bare = re.sub(r"#.*|(defaults|rename): \{[^}]*\}", "", block)
                for key in set(re.findall(r"(?:^|[\s{])([A-Za-z]\w*):(?:\s|$)", bare)) - OBJECT_KEYS - known[None]:
                    complain(f"{path}:{number}", f"{key} is no field")
                continue
            for document in yaml.safe_load_all(block):
                kind = document.get("kind")
                if kind in known:
                    walk(document["spec"], known[kind]["properties"]["spec"], f"{path}:{number}", "spec")
                elif kind != "Secret":
                    complain(f"{path}:{number}", f"{kind} is no kind of ours")
        for number, line in lines(text):
            for found in re.findall(r"`\.?(spec(?:\.\w+)+)`", line):
                if not any(leads(schema, found.split(".")) for schema in known.values()):
                    complain(f"{path}:{number}", f"{found} is no field")


def leads(schema, names):
    """Whether a path of members exists in a schema (or each name in the set of all of them)."""
    if isinstance(schema, set):
        return all(name in schema for name in names)
    for name in names:
        schema = schema.get("items", schema)
        members = schema.get("properties", {})
        if name not in members:
            return bool(schema.get("additionalProperties"))
        schema = members[name]
    return True


def check_codes(docs):
    """The table of statuses has every code of the gateway with its status, and no other."""
    source = read("gateway/src/error/openai.rs")
    codes = {code: status for status, code in re.findall(r"Wire::new\((\w+), [^,]+, \"(\w+)\"\)", source)}
    others = read("llm/src/request.rs", "llm/src/request", "llm/src/provider.rs", "llm/src/provider", "llm/src/chat", "llm/src/inbound.rs", "llm/src/inbound")
    section = docs[CONFIGURATION].split("## Status codes")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([0-9x, ]+) \| ([^|]*) \|", section, re.M)
    shown = [(status, code) for status, cell in rows for code in re.findall(r"`(\w+)`", cell)]
    for code, status in codes.items():
        rows_of = [row for row, other in shown if other == code]
        if not rows_of:
            complain(CONFIGURATION, f"the table of statuses lacks {code}")
        elif status.isdigit() and not any(status in row for row in rows_of):
            complain(CONFIGURATION, f"{code} has status {status}")
    for _, code in shown:
        if code not in codes and f'"{code}"' not in others:
            complain(CONFIGURATION, f"no answer has the code {code}")


def check_headers(docs):
    """Every header that the request path knows by name is documented, and no other."""
    source = read("gateway/src/pipeline", "gateway/src/error/openai.rs")
    known = set(re.findall(r'HeaderName::from_static\(\s*"([\w-]+)"', source))
    text = docs[CONFIGURATION]
    for header in sorted(known):
        if header not in text.lower():
            complain(CONFIGURATION, f"the header {header} is not documented")
    for header in re.findall(r"`((?:x|llm_provider)-[a-z0-9-]+)`", text):
        if header not in known:
            complain(CONFIGURATION, f"no part of the request path knows the header {header}")


def check_names(docs):
    """Metrics and views that documents name exist; every provider that is spoken is listed."""
    source = read("gateway/src", "ledger/src", "operator/src/metrics.rs") + read("ledger/migrations/sqlite/0001_spend.sql")
    for path, text in docs.items():
        if path.name == "metrics.md":
            continue  # a test of the gateway compares it with what is rendered
        for number, line in lines(text):
            for name in re.findall(r"`((?:turnpike|litellm)_[a-z_]+)`", line):
                if not re.search(rf"\b{name.removesuffix('_total')}(_total)?\b", source):
                    complain(f"{path}:{number}", f"there is no {name}")
    rows = re.findall(r"^\| (\w+) \| (?:none[^|]*|`([^`]*)`) \|", docs[PROVIDERS], re.M)
    kinds = re.search(r"pub enum ProviderKind \{(.*?)\n\}", read("llm/src/provider.rs"), re.S)[1]
    kinds = set(re.findall(r"^    (\w+),", kinds, re.M))
    if {kind for kind, _ in rows} != kinds:
        complain(PROVIDERS, f"its table and ProviderKind differ: {sorted({kind for kind, _ in rows} ^ kinds)}")
    addresses = dict(re.findall(r'ProviderKind::(\w+) => Some\("(http[^"]*)"\)', read("llm/src/provider/quirks.rs")))
    for kind, address in rows:
        if addresses.get(kind, "") != address:
            complain(PROVIDERS, f"the default address of {kind} is {addresses.get(kind)}")


def check_dependencies(docs):
    """docs/dependencies.md has each direct dependency, and no other."""
    path = Path("docs/dependencies.md")
    section = Path("Cargo.toml").read_text().split("[workspace.dependencies]")[1].split("\n[")[0]
    known = {name for name in re.findall(r"^([\w-]+) =", section, re.M) if not name.startswith("turnpike-")}
    rows = re.findall(r"^\| ([a-z][\w, -]*) \|", docs[path], re.M)
    shown = {name.strip() for row in rows for name in row.split(",")} - {"crate"}
    for name in sorted(known - shown):
        complain(path, f"{name} has no row")
    for name in sorted(shown - known):
        complain(path, f"{name} is no direct dependency")


def check_adrs(docs):
    """ADRs are numbered without gaps, short, and listed."""
    found = sorted(path for path in docs if path.parent == ADRS and path.name != "README.md")
    listed = docs[ADRS / "README.md"]
    for expected, path in enumerate(found, 1):
        if not path.name.startswith(f"{expected:04d}-"):
            complain(path, f"the number {expected:04d} is missing before it")
        if len(docs[path].splitlines()) > ADR_LINES:
            complain(path, f"an ADR has at most {ADR_LINES} lines")
        if f"({path.name})" not in listed:
            complain(path, f"{ADRS / 'README.md'} does not list it")


def main():
    """Prints each finding; 1 if there is any."""
    known = tracked()
    docs = documents(known)
    for check in (check_flags, check_variables, check_targets, check_yaml, check_codes, check_headers, check_names,
                  check_dependencies, check_adrs):
        check(docs)
    check_links(docs, known)
    check_paths(docs, known)
    print("\n".join(findings) or f"{len(docs)} documents checked")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
