"""What goes into each Lambda's zip, and each image: dependencies that `make build` puts into build/, sources that synth adds.

`python -m stacks.assets` installs, with uv, what uv.lock says, for the Lambda's Python and processor. Synth never
installs: it checks that what is there is what uv.lock says, and fails with that command where it is not.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from realtime.features import Features

FEATURES = "features.json"
"""What features.toml says, in an asset: checked at synth, and read without pydantic."""

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build"

_PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}  # Amazon Linux 2023 has glibc 2.34
_STALE_SECONDS = 3600  # staged folders of earlier sources are kept that long, for a deploy that still reads them


class AssetError(Exception):
    """The dependencies in build/ are not those of uv.lock; the message says what to run."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One zip or image: a dependency group of pyproject.toml, and the sources that its handlers import."""

    group: str
    sources: tuple[str, ...]


_FROM_HTTP = tuple(f"services/http/{name}.py" for name in ("__init__", "access", "bodies", "problems", "publish", "schemas"))

ASSETS = {
    "http": Asset("http", ("realtime", "services/__init__.py", "services/http", "functions/__init__.py", "functions/http")),
    "websocket": Asset(
        "websocket", ("realtime", "functions/__init__.py", "functions/websocket", "functions/authorizer", "functions/broadcaster")
    ),
    "sse": Asset("sse", ("realtime", "services/__init__.py", *_FROM_HTTP, "services/sse")),
    "sse-lambda": Asset("sse-lambda", ("realtime", "services/__init__.py", *_FROM_HTTP, "services/sse", "services/sse/run.sh")),
    "shop": Asset("websocket", ("realtime", "functions/__init__.py", "functions/shop", "functions/shop/cdnow.csv")),
    "relay": Asset("relay", ("realtime", "functions/__init__.py", "functions/relay")),
}


@dataclass(frozen=True, slots=True)
class Target:
    """What the code will run on. `native` wheels are those of this machine, for the local endpoint."""

    python: str
    architecture: str
    wheels: str = "linux"

    @property
    def folder(self) -> Path:
        return BUILD / f"{self.wheels}-{self.architecture}-python{self.python}"

    @property
    def command(self) -> str:
        """The command that fills the folder."""
        if self == Target("3.14", "arm64"):
            return "make build"
        return f"python -m stacks.assets --python {self.python} --architecture {self.architecture} --wheels {self.wheels}"


def install(target: Target) -> None:
    """Install the dependencies of every asset for the target, from uv.lock."""
    for name, asset in ASSETS.items():
        if _fresh(target, name):
            continue
        print(f"installing the dependencies of {name} for {target.folder.name}", flush=True)  # noqa: T201 - progress
        requirements, folder = _requirements(target, name), _dependencies(target, name)
        _stamp(target, name).unlink(missing_ok=True)  # first: an install that is broken off must not look whole
        shutil.rmtree(folder, ignore_errors=True)
        target.folder.mkdir(parents=True, exist_ok=True)
        uv("export", "--frozen", "--only-group", asset.group, "--no-annotate", "--no-header", "--output-file", str(requirements))
        platform = [] if target.wheels == "native" else ["--python-platform", _PLATFORMS[target.architecture]]
        uv(
            *("pip", "install", "--no-deps", "--only-binary", ":all:", "--python-version", target.python, *platform),
            *("--target", str(folder), "--requirement", str(requirements)),
        )
        shutil.rmtree(folder / "bin", ignore_errors=True)  # scripts with this machine's paths in them
        (folder / ".lock").unlink(missing_ok=True)
        _stamp(target, name).write_text(lock_digest())


def stage(target: Target, name: str, features: Features) -> tuple[Path, str]:
    """The folder that becomes the zip, and a hash of what is in it; `AssetError` where the dependencies are not up to date."""
    if not _fresh(target, name):
        raise AssetError(f"build/ does not hold what uv.lock says for {name}: run {target.command}")
    files = {path: source.read_bytes() for path, source in _sources(ASSETS[name])} | {FEATURES: features.encode().encode()}
    files |= {f.schema_file: (features.folder / f.schema_file).read_bytes() for f in features.values() if f.schema_file}
    digest = hashlib.sha256(_requirements(target, name).read_bytes() + target.folder.name.encode())
    for path, content in sorted(files.items()):
        digest.update(path.encode() + b"\0" + content + b"\0")
    folder = target.folder / f"{name}-{digest.hexdigest()[:16]}"
    if not folder.exists():
        _remove_stale(target, name)
        fresh = Path(tempfile.mkdtemp(dir=target.folder, prefix=f".{name}-"))
        shutil.copytree(_dependencies(target, name), fresh, copy_function=os.link, dirs_exist_ok=True)
        for path, content in files.items():
            (fresh / path).parent.mkdir(parents=True, exist_ok=True)
            (fresh / path).write_bytes(content)
            (fresh / path).chmod(0o755 if path.endswith(".sh") else 0o644)  # by name, which the hash has, and not as checked out
        fresh.chmod(0o755)
        _move(fresh, folder)
    return folder, digest.hexdigest()


def _sources(asset: Asset) -> Iterator[tuple[str, Path]]:
    for source in asset.sources:
        path = ROOT / source
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            yield str(file.relative_to(ROOT)), file


def _move(fresh: Path, folder: Path) -> None:
    try:
        fresh.rename(folder)
    except OSError:  # another synth was faster, with the same content
        shutil.rmtree(fresh)


def _remove_stale(target: Target, name: str) -> None:
    for old in target.folder.glob(f"{name}-{'[0-9a-f]' * 16}"):  # no more than that: another asset's name may go on after ours
        if time.time() - old.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(old, ignore_errors=True)


def _fresh(target: Target, name: str) -> bool:
    stamp = _stamp(target, name)
    return stamp.is_file() and stamp.read_text() == lock_digest() and _dependencies(target, name).is_dir()


def lock_digest() -> str:
    """What uv.lock says, as a hash: whatever was installed from another one is stale."""
    return hashlib.sha256((ROOT / "uv.lock").read_bytes()).hexdigest()


def _dependencies(target: Target, name: str) -> Path:
    return target.folder / f"{name}.dependencies"


def _requirements(target: Target, name: str) -> Path:
    return target.folder / f"{name}.requirements.txt"


def _stamp(target: Target, name: str) -> Path:
    return target.folder / f"{name}.stamp"


def uv(*arguments: str, **variables: str) -> None:
    """Run uv in the project, with variables of its own; `AssetError` with its words if it fails."""
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1", **variables}  # the machine's own certificates: a company may add one
    environment.pop("VIRTUAL_ENV", None)
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise AssetError(f"uv {arguments[0]} failed: {done.stderr.strip()}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stacks.assets", description="Install what the Lambda assets need into build/.")
    parser.add_argument("--python", default="3.14")
    parser.add_argument("--architecture", default="arm64", choices=sorted(_PLATFORMS))
    parser.add_argument("--wheels", default="linux", choices=["linux", "native"])
    chosen = parser.parse_args()
    try:
        install(Target(chosen.python, chosen.architecture, chosen.wheels))
    except AssetError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
