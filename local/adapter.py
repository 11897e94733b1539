"""One Lambda execution environment with the Web Adapter in it: a request starts `run.sh` or thaws it, and its end freezes it.

What is not as in the cloud: the memory is not limited, the file system is this machine's, and ports are shared.
"""

import asyncio
import itertools
import json
import os
import random
import signal
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from local.lambda_like import PYTHON, provided
from local.places import ACCOUNT, REGION, Places
from local.process import Child, port_is_free

Headers = list[tuple[bytes, bytes]]

READY_SECONDS = 10.0
"""Lambda's limit for the start of an environment."""

_LOOK_SECONDS = 0.01  # how often the adapter looks whether the server is ready
_GONE_SECONDS = 5.0
_PORTS = itertools.cycle(random.sample(range(20_000, 32_000), 12_000))
"""Below those that the system takes for outgoing connections, of which there are hundreds here; none is taken twice in a row."""

_CONTEXTS = (b"x-amzn-request-context", b"x-amzn-lambda-context")
_OURS_ALONE = frozenset(  # of one connection, or set anew
    (*_CONTEXTS, *b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade content-length expect".split())
)


class StartError(Exception):
    """An environment did not become ready; the message says why."""


@dataclass(frozen=True, slots=True)
class Function:
    """What is configured of a function: `handler` is the file in `folder`, its asset, that starts a server on PORT."""

    folder: Path
    handler: str
    environment: dict[str, str]
    timeout: float
    """Seconds that one request may take, without the start."""
    concurrency: int = 1_000
    """How many environments there may be at once."""
    memory: int = 1024
    name: str = "function"


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the function gets it; `target` is path and query as they came."""

    method: str
    target: bytes
    headers: Headers
    body: bytes
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True, slots=True)
class Machine:
    """What the environments of a machine share: the runtime's libraries, and a folder with `python`."""

    places: Places
    runtime: Path
    programs: Path

    @classmethod
    def prepare(cls, places: Places) -> "Machine":
        """The libraries are installed once, which takes seconds."""
        programs = places.folder / "programs"
        programs.mkdir(parents=True, exist_ok=True)
        python, fresh = programs / "python", programs / f"python.{os.getpid()}"
        fresh.write_text(f'#!/bin/sh\nexec "{PYTHON}" -S "$@"\n')
        fresh.chmod(0o755)
        fresh.replace(python)
        return cls(places, provided(), programs)

    def variables(self, function: Function, port: int) -> dict[str, str]:
        """All that a function's process sees: what Lambda would set, and nothing of this machine."""
        ours = self.places.environment().items()
        access = {name: value for name, value in ours if name.startswith("AWS_") or name.upper() == "NO_PROXY"}
        return {
            **access,
            **function.environment,
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "LAMBDA_RUNTIME_DIR": str(self.runtime),
            "LAMBDA_TASK_ROOT": str(function.folder),
            "LANG": "C.UTF-8",
            "PATH": f"{self.programs}:{os.defpath}",
            "PORT": str(port),
            "PYTHONDONTWRITEBYTECODE": "1",  # Lambda's task root cannot be written to
            "_HANDLER": function.handler,
        }


class Environment:
    """A process that serves one request at a time, and stands still in between."""

    def __init__(self, function: Function, machine: Machine) -> None:
        """Starts the process; `StartError` where the handler is no program."""
        port = _port()
        self.function = function
        self.idle_since = 0.0
        self._url = httpx2.URL(f"http://127.0.0.1:{port}")
        variables, log = machine.variables(function, port), machine.places.log(f"environment-{port}")
        try:
            self._child = Child.start(function.name, [function.folder / function.handler], variables, log, function.folder)
        except OSError as error:
            raise StartError(f"{function.handler} could not be started: {error}") from None

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        return self._child.popen.pid

    @property
    def alive(self) -> bool:
        return self._child.popen.poll() is None

    @property
    def last_words(self) -> str:
        return self._child.last_words()

    async def ready(self, client: httpx2.AsyncClient) -> None:
        """Return when it takes requests; `StartError` if it ends, or needs more than 10 s."""
        where = self._url.join(self.function.environment.get("AWS_LWA_READINESS_CHECK_PATH", "/"))
        try:
            async with asyncio.timeout(READY_SECONDS):
                while self.alive:
                    if await _healthy(client, where):
                        return
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise StartError(f"{self.function.handler} was not ready after {READY_SECONDS:.2f} seconds") from None
        raise StartError(f"{self.function.handler} ended: {self.last_words}")

    @asynccontextmanager
    async def answer(self, client: httpx2.AsyncClient, call: Call) -> AsyncIterator[httpx2.Response]:
        """Thaw it and hand the request over; the response's body comes as it is produced."""
        headers = [(name, value) for name, value in call.headers if name.lower() not in _OURS_ALONE]
        request = httpx2.Request(
            call.method,
            self._url.copy_with(raw_path=call.target),
            headers=[*headers, *_contexts(self.function, call)],
            content=call.body,
        )
        self._signal(signal.SIGCONT)
        response = await client.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()

    def freeze(self) -> None:
        """Stop the clock for all its processes, until the next request."""
        self._signal(signal.SIGSTOP)
        self.idle_since = time.monotonic()

    def kill(self) -> None:
        """End all its processes, frozen or not, as Lambda does."""
        self._signal(signal.SIGKILL)

    async def end(self) -> None:
        """Kill it, and return when it is gone."""
        self.kill()
        await asyncio.to_thread(self._child.popen.wait, _GONE_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def _port() -> int:
    return next(port for port in _PORTS if port_is_free(port))


async def _healthy(client: httpx2.AsyncClient, where: httpx2.URL) -> bool:
    try:
        return (await client.get(where)).status_code < httpx2.codes.INTERNAL_SERVER_ERROR
    except httpx2.HTTPError:
        return False


def _contexts(function: Function, call: Call) -> Headers:
    """Who calls, and how long the function has: the adapter passes both on as JSON."""
    path = call.target.partition(b"?")[0].decode("ascii", "replace")
    request = {"requestId": call.id, "stage": "local", "httpMethod": call.method, "path": path, "identity": {"sourceIp": "127.0.0.1"}}
    invocation = {
        "request_id": call.id,
        "deadline": int((time.time() + function.timeout) * 1000),
        "invoked_function_arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function.name}",
        "xray_trace_id": None,
        "client_context": None,
        "identity": None,
        "env_config": {"function_name": function.name, "memory": function.memory, "version": "$LATEST", "log_stream": "", "log_group": ""},
    }
    return [(name, json.dumps(content).encode()) for name, content in zip(_CONTEXTS, (request, invocation), strict=True)]
