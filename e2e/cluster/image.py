#!/usr/bin/env python3
"""Makes a container image (docker-archive) of programs of this machine, without a Docker engine.

The shared libraries that the programs need are a layer of their own, so that images made of one
toolchain share it; programs are stripped. The image has CA certificates, a user 65532 that it runs
as unless --user names another, and /tmp; it needs no writable root. The same input gives the same bytes.

    image.py localhost/turnpike-gateway:e2e gateway.tar target/debug/turnpike-gateway
    image.py REF OUT redis-server /bin/dash --add /bin/dash:/bin/sh --entrypoint /usr/bin/redis-server
    image.py REF OUT --bare --add tiny.gguf:/model.gguf

Programs go to /usr/bin; the first is the entrypoint unless --entrypoint says otherwise. Without any it is an image of files,
for an image volume.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

USER = 65532
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
NAMES = "passwd: files\ngroup: files\nhosts: files dns\n"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Layer:
    """A tar in memory, written at the end in the order of its names."""

    def __init__(self):
        self.entries = {}

    def file(self, name, data, mode=0o644):
        self.entries[name] = (tarfile.REGTYPE, mode, data)

    def link(self, name, target):
        self.entries[name] = (tarfile.SYMTYPE, 0o777, target)

    def folder(self, name, mode=0o755):
        self.entries[name] = (tarfile.DIRTYPE, mode, None)

    def tar(self):
        """The bytes: parents before children, no times or owners of this machine."""
        for name in list(self.entries):
            for parent in list(Path(name).parents)[:-1]:
                self.entries.setdefault(str(parent), (tarfile.DIRTYPE, 0o755, None))
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name, (kind, mode, content) in sorted(self.entries.items()):
                info = tarfile.TarInfo(name)
                info.type, info.mode = kind, mode
                if kind == tarfile.SYMTYPE:
                    info.linkname = content
                data = content if kind == tarfile.REGTYPE else b""
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return out.getvalue()


def is_elf(path):
    """Whether the file is a program or a shared library."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def libraries(path):
    """The shared libraries, the loader included, that a program or library needs."""
    done = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False)
    if missing := re.findall(r"(\S+) => not found", done.stdout):
        raise SystemExit(f"error: {path} needs {', '.join(missing)}, which this machine lacks")
    return set(re.findall(r"(?:=> |^\s+)(/\S+) \(0x", done.stdout, re.M))


def program(path, strip):
    """A program's bytes, without its symbols if asked."""
    if not strip or not shutil.which("strip"):
        return path.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        subprocess.run(["strip", "-o", str(out), str(path)], check=True)
        return out.read_bytes()


def add(layer, source, target):
    """Puts a file or a whole folder in the layer; gives the ELF files among them."""
    target, elf = target.lstrip("/"), []
    if source.is_symlink() and not source.exists():
        raise SystemExit(f"error: {source} points nowhere")
    if source.is_dir():
        layer.folder(target)
        for one in sorted(source.iterdir()):
            if one.name == "__pycache__":
                # Python would not use it: it holds the time of its source, which is left out here.
                continue
            if one.is_symlink() and not os.readlink(one).startswith("/"):
                layer.link(f"{target}/{one.name}", os.readlink(one))
            elif one.is_dir() or one.is_file():
                elf += add(layer, one, f"{target}/{one.name}")
        return elf
    layer.file(target, source.read_bytes(), 0o755 if os.access(source, os.X_OK) else 0o644)
    return [source] if is_elf(source) else []


def layers(args):
    """The image's layers: libraries, base files, programs with what was added."""
    programs, base, shared = Layer(), Layer(), Layer()
    elf = []
    for binary in map(Path, args.binaries):
        programs.file(f"usr/bin/{binary.name}", program(binary, args.strip), 0o755)
        elf.append(binary)
    for pair in args.add:
        source, _, target = pair.rpartition(":")
        elf += add(programs, Path(source), target)
    if args.bare:
        return [programs.tar()]
    for library in sorted(set().union(*map(libraries, elf))):
        shared.file(library.lstrip("/"), Path(library).read_bytes(), 0o755)
    users = [("root", "0"), ("nonroot", str(USER)), *([args.user] if args.user else [])]
    base.file("etc/passwd", "".join(f"{name}:x:{one}:{one}:{name}:/tmp:/sbin/nologin\n" for name, one in users).encode())
    base.file("etc/group", "".join(f"{name}:x:{one}:\n" for name, one in users).encode())
    base.file("etc/nsswitch.conf", NAMES.encode())
    base.file(str(CERTIFICATES).lstrip("/"), CERTIFICATES.read_bytes())
    base.folder("tmp", 0o1777)
    return [one.tar() for one in (shared, base, programs)]


def write(args, tars):
    """Writes the archive: configuration, layers, manifest."""
    digests = [hashlib.sha256(tar).hexdigest() for tar in tars]
    machine = platform.machine()
    environment = {"PATH": "/usr/bin:/bin", **dict(pair.split("=", 1) for pair in args.env)}
    first = [f"/usr/bin/{Path(one).name}" for one in args.binaries[:1]]
    config = {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {
            "Entrypoint": args.entrypoint.split() if args.entrypoint else first,
            "User": ":".join([args.user[1] if args.user else str(USER)] * 2),
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "WorkingDir": "/",
            **({"StopSignal": args.stop_signal} if args.stop_signal else {}),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{one}" for one in digests]},
    }
    config = json.dumps(config, sort_keys=True).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = [{"Config": name, "RepoTags": [args.ref], "Layers": [f"{one}.tar" for one in digests]}]
    whole = Path(f"{args.out}.part")
    with tarfile.open(whole, "w", format=tarfile.GNU_FORMAT) as tar:
        for file, data in [(name, config), *((f"{one}.tar", tar) for one, tar in zip(digests, tars)),
                           ("manifest.json", json.dumps(manifest).encode())]:
            info = tarfile.TarInfo(file)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    whole.replace(args.out)


def main():
    """Reads the command line and writes the image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ref", help="the image's name, such as localhost/x:1")
    parser.add_argument("out", help="the archive to write")
    parser.add_argument("binaries", nargs="*", help="programs; they go to /usr/bin")
    parser.add_argument("--add", action="append", default=[], metavar="SRC:DEST",
                        help="a further file or folder; the libraries of ELF files in it come along")
    parser.add_argument("--entrypoint", help="path in the image and first arguments (default: the first program)")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--user", type=lambda pair: pair.split(":"), metavar="NAME:ID", help="a further user, that it runs as")
    parser.add_argument("--stop-signal", metavar="SIGNAL", help="what asks it to end (default: SIGTERM)")
    parser.add_argument("--no-strip", dest="strip", action="store_false", help="keep the symbols")
    parser.add_argument("--bare", action="store_true", help="nothing but what is named, in one layer: static programs")
    args = parser.parse_args()
    for binary in args.binaries:
        if not Path(binary).is_file():
            sys.exit(f"error: no program {binary}")
    write(args, layers(args))


if __name__ == "__main__":
    main()
