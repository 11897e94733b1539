"""Synth, and deploy to the local endpoint: the CDK CLI itself, as a person would type it."""

import json
import platform
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local import endpoint
from local.assembly import LeftOut, localize
from local.places import ACCOUNT, REGION, ROOT, LocalError, Places
from local.process import Child, stop
from local.progress import step
from stacks.assets import AssetError, Target, install

PUBSUB = "PubSubStack"  # deployed by name only: it costs by the hour
CDK = ROOT / "node_modules" / ".bin" / "cdk"
COMMAND_SECONDS = 300

_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What to deploy: the features, how hubs hear of events, and the URL of this machine's Valkey if it has one."""

    features: Path
    bus: str = "log"
    valkey: str | None = None


def target() -> Target:
    """This machine and this Python: MiniStack runs functions with them, whatever the template says."""
    machine = platform.machine().lower()
    if machine not in _ARCHITECTURES:
        raise LocalError(f"this machine's processor, {machine}, is none that Lambda has: x86_64 or arm64")
    return Target(f"{sys.version_info.major}.{sys.version_info.minor}", _ARCHITECTURES[machine], "native")


def prepare() -> None:
    """Install what the functions need for this machine."""
    try:
        install(target())
    except AssetError as error:
        raise LocalError(str(error)) from None


def bootstrap(places: Places) -> None:
    """`cdk bootstrap`, from an empty folder: in the project's it would run the app first."""
    folder = places.folder / "empty"
    folder.mkdir(exist_ok=True)
    _cdk(places, "bootstrap", f"aws://{ACCOUNT}/{REGION}", folder=folder)


def deploy(places: Places, chosen: Chosen, *, first: bool) -> tuple[dict[str, dict[str, str]], list[LeftOut]]:
    """Deploy what changed; return the outputs by stack, and what the local endpoint does not get."""
    built, assembly = places.folder / "cdk.out", places.folder / "assembly"
    with ThreadPoolExecutor(1) as pool:
        bootstrapped: Future[None] | None = pool.submit(bootstrap, places) if first else None
        with step("synthesizing the stacks"):
            _cdk(places, "synth", "--quiet", "--output", str(built), *_context(chosen))
        if bootstrapped:
            with step("bootstrapping the local AWS endpoint"):
                bootstrapped.result()
    left_out = localize(built, assembly, endpoint.known_types(), chosen.valkey)
    outputs = places.folder / "outputs.json"
    with step("deploying the stacks"):
        stacks = {file.name.removesuffix(".template.json") for file in assembly.glob("*.template.json")}
        wanted = stacks - ({PUBSUB} if chosen.bus == "log" else set())
        _cdk(places, "deploy", *sorted(wanted), "--app", str(assembly), "--require-approval", "never", "--outputs-file", str(outputs))
        endpoint.delete_others(places, wanted)
        endpoint.put_back(places, assembly)
    found: dict[str, dict[str, str]] = json.loads(outputs.read_text())
    return found, left_out


def destroy(places: Places) -> None:
    """`cdk destroy` of everything that was deployed."""
    _cdk(places, "destroy", "--all", "--force", "--app", str(places.folder / "assembly"))


def _context(chosen: Chosen) -> list[str]:
    here = target()
    context = {
        "features": str(chosen.features),
        "realtime:lambda-python": here.python,
        "realtime:lambda-architecture": here.architecture,
        "realtime:lambda-wheels": here.wheels,
        "realtime:model": "ngram",  # the only one that is here
    }
    return [part for key, value in context.items() for part in ("--context", f"{key}={value}")]


def _cdk(places: Places, *arguments: str, folder: Path = ROOT) -> None:
    """Run the CDK command line; however this ends, Ctrl-C included, nothing that it started goes on."""
    log = places.log(f"cdk-{arguments[0]}")
    child = Child.start("cdk", [CDK, "--no-notices", *arguments], places.environment(), log, folder)
    try:
        code = child.popen.wait(COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        raise LocalError(f"cdk {arguments[0]} took longer than {COMMAND_SECONDS} s: see {log}") from None
    finally:
        stop([child.process])
    if code:
        raise LocalError(f"cdk {arguments[0]} failed: {_reason(log)} (see {log})")


def _reason(log: Path) -> str:
    """The line of the log that says what went wrong."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if "Error" in line or "failed" in line or "features." in line]
    return (telling or lines or ["it said nothing"])[-1][:300]
