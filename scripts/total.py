"""Totals what the test runners reported: reads their logs, prints `N passed, N failed`.

Counts come from the runners' own closing lines. A log without one is an error (a suite that ran
nothing must not look like a success), and so is a total of no test. Usage: total.py LOG...
"""

import re
import sys
from pathlib import Path

# cargo test, once per test binary
CARGO = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", re.M)
# pytest's last line, once per run: "== 1 failed, 2 passed, 1 error in 3.21s =="
PYTEST = re.compile(r"^=* ?((?:\d+ \w+(?:, )?)+) in [\d.]+s(?: \([\d:]+\))? ?=*$", re.M)
# node --test with the spec reporter
NODE = re.compile(r"^ℹ (pass|fail|cancelled) (\d+)$", re.M)


def counts(text):
    """Passed and failed of one log, or None if no runner reported."""
    if found := CARGO.findall(text):
        return sum(int(one[0]) for one in found), sum(int(one[1]) for one in found)
    if found := PYTEST.findall(text):
        words = [one.split() for line in found for one in line.split(", ")]
        passed = sum(int(count) for count, word in words if word == "passed")
        return passed, sum(int(count) for count, word in words if word in ("failed", "error", "errors"))
    if found := dict(NODE.findall(text)):
        return int(found["pass"]), int(found["fail"]) + int(found.get("cancelled", 0))
    return None


def main(paths):
    """Prints the total; fails if a log reports nothing or nothing ran."""
    passed = failed = 0
    silent = []
    for path in map(Path, paths):
        found = counts(path.read_text(errors="replace"))
        if found is None or found == (0, 0):
            silent.append(path.name)
            continue
        passed += found[0]
        failed += found[1]
    for name in silent:
        print(f"error: the runner of {name} reported no test")
    print(f"{passed} passed, {failed} failed")
    return 1 if silent or failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
