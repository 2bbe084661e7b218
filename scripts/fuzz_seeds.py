#!/usr/bin/env python3
"""Writes the fuzzer's first inputs: every case and recording of the tests, for every provider.

Usage: fuzz_seeds.py LLM_CRATE FOLDER. An input is two bytes, which choose provider and operation, and a body (llm/fuzz/src/lib.rs).
"""

import hashlib
import re
import sys
from pathlib import Path

crate, corpus = Path(sys.argv[1]), Path(sys.argv[2])


def names(path: str, head: str) -> int:
    """How many entries the Rust list that begins with `head` has."""
    text = (crate / path).read_text()
    found = re.search(re.escape(head) + r"[^;]*;\s*(\d+)\]", text)
    if not found:
        sys.exit(f"error: {path} no longer holds '{head}'")
    return int(found.group(1))


kinds = names("fuzz/src/lib.rs", "pub const KINDS: [ProviderKind")
operations = names("src/provider/operation.rs", "pub const ALL: [Self")


def seed(target: str, body: bytes, operation: int) -> None:
    folder = corpus / target
    folder.mkdir(exist_ok=True)
    for kind in range(kinds):
        data = bytes([kind, operation]) + body
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


for folder in sorted((crate / "tests/cases").iterdir()):
    for case in folder.iterdir():
        for operation in range(operations):
            seed("requests", case.read_bytes(), operation)

recordings = [path for path in (crate / "tests").rglob("*") if path.is_file() and "cases" not in path.parts]
for path in recordings:
    if path.suffix in {".rs", ".snap"}:
        continue
    target = "answers" if path.suffix == ".json" else "streams"
    for operation in range(operations):
        seed(target, path.read_bytes(), operation)

for target in ("requests", "answers", "streams"):
    count = len(list((corpus / target).iterdir())) if (corpus / target).is_dir() else 0
    if count < 100:
        sys.exit(f"error: only {count} first inputs for {target}: the tests' folders have moved")
