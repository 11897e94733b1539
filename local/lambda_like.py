"""What the Lambda runtime provides beside a function's asset, and the interpreter alone: for clean runs of an asset."""

import hashlib
import os
import sys
from pathlib import Path

from local.places import ROOT
from stacks.assets import lock_digest, uv

PYTHON = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
"""The interpreter itself, to be started with -S: that of .venv would bring its packages along."""


def provided() -> Path:
    """A folder with boto3 and the runtime client as in Lambda's /var/runtime, byte-compiled; from uv.lock, installed once."""
    digest = hashlib.sha256((lock_digest() + sys.version).encode()).hexdigest()[:16]
    folder = ROOT / ".local" / f"lambda-runtime-{digest}"
    if not folder.exists():
        requirements, fresh = folder.with_suffix(".txt"), folder.with_suffix(f".{os.getpid()}")
        folder.parent.mkdir(exist_ok=True)
        uv("export", "--frozen", "--only-group", "runtime", "--no-header", "--output-file", str(requirements))
        uv("pip", "install", "--no-deps", "--compile-bytecode", "--target", str(fresh), "--requirement", str(requirements))
        fresh.rename(folder)
    return folder
