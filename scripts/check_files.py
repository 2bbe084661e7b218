"""Checks the rules that no compiler knows: lengths of files, and what no file may name.

A Rust file of the program has fewer than 400 lines, unless scripts/long_files.txt names it with a
reason; an entry there that is no longer needed is an error too. No file names a package registry's
host (machines differ in where they get packages from) or a folder of somebody's machine.
"""

import re
import subprocess
import sys
from pathlib import Path

LIMIT = 400
EXCEPTIONS = Path("scripts/long_files.txt")
# Written with [.] so that this file does not name what it forbids.
HOSTS = re.compile(r"(registry[.]npmjs[.]org|registry[.]yarnpkg[.]com|files[.]pythonhosted[.]org"
                   r"|pypi[.]org|(static|index)[.]crates[.]io|proxy[.]golang[.]org|sum[.]golang[.]org"
                   r"|deb[.]debian[.]org|repo1?[.]maven[.]apache[.]org)")
FOLDERS = re.compile(r"(?<![\w.$}-])/(root|work|home/\w+|Users/\w+)/")


def files():
    """Tracked files and new ones that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        check=True, capture_output=True, text=True).stdout
    return sorted(Path(name) for name in listed.split("\0") if name and Path(name).is_file())


def exceptions():
    """Path -> reason, from the data file: one `path: reason` a line."""
    rows = {}
    for line in EXCEPTIONS.read_text().splitlines():
        if line and not line.startswith("#"):
            path, _, reason = line.partition(": ")
            rows[Path(path)] = reason.strip()
    return rows


def too_long(path, text):
    """Whether a file of the program is too long (tests and generated files may be)."""
    generated = "generated" in "\n".join(text.splitlines()[:3]).lower()
    return (path.suffix == ".rs" and "tests" not in path.parts and not generated
            and len(text.splitlines()) >= LIMIT)


def main():
    """Prints each finding; 1 if there is any."""
    findings = []
    allowed = exceptions()
    needed = set()
    for path in files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if too_long(path, text):
            needed.add(path)
            if not allowed.get(path):
                findings.append(f"{path}: {len(text.splitlines())} lines; split it below {LIMIT}, or "
                                f"name it with a reason in {EXCEPTIONS}")
        for number, line in enumerate(text.splitlines(), 1):
            if HOSTS.search(line):
                findings.append(f"{path}:{number}: names a package registry's host")
            if FOLDERS.search(line):
                findings.append(f"{path}:{number}: names a folder of one machine")
    findings += [f"{EXCEPTIONS}: {path} is no longer too long; remove its line"
                 for path in allowed if path not in needed]
    print("\n".join(findings) or f"{len(files())} files checked")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
