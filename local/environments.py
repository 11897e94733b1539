"""What Lambda and a regional REST API do for a function that streams: runs its asset, one request per environment.

`python -m local.environments --function NAME`: the deployed function, with its own settings; `--configuration FILE`: one that
is not deployed, with a Function's fields as JSON. A client that leaves does not stop an invocation, here as in the cloud. A
redeployed function is seen within a second: old environments finish first.
"""

import argparse
import asyncio
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx2
import uvicorn
from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from local.adapter import Call, Environment, Function, Headers, Machine, StartError
from local.endpoint import client as aws
from local.places import Places

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
IDLE_SECONDS = 300.0
"""How long an environment is kept for a next request; Lambda does not promise any time."""

STARTS = 4
"""Environments that start at the same time; the others wait."""

SILENCE_SECONDS = 300.0
"""After so long without a byte, a regional REST API ends the response."""

BODY_BYTES = 10 * 1024 * 1024
"""The largest request body that API Gateway takes."""

_CHUNKS = 16  # of at most 64 KB each, since httpx2 reads no more at once
_KEEP_ALIVE_SECONDS = 4.0  # as the adapter's
_NOT_PASSED_ON = frozenset([b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"date", b"server"])


class Answer:
    """What a function answers, on its way to a client: the head, then chunks, of which few wait."""

    def __init__(self) -> None:
        self._head: asyncio.Future[tuple[int, Headers] | None] = asyncio.get_running_loop().create_future()
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(_CHUNKS)
        self._left = self._over = False

    async def head(self) -> tuple[int, Headers] | None:
        """Status and headers; none where the function failed before."""
        return await self._head

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes, until its end or a long silence."""
        while not self._over or not self._chunks.empty():
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    chunk = await self._chunks.get()
            except TimeoutError:
                return
            if chunk:
                yield chunk

    def leave(self) -> None:
        """The client is gone: whatever comes from now on is thrown away."""
        self._left = True
        while not self._chunks.empty():
            self._chunks.get_nowait()

    def begin(self, status: int, headers: Headers) -> None:
        if not self._head.done():
            self._head.set_result((status, headers))

    async def write(self, chunk: bytes) -> None:
        """Waits while the client does not keep up: so does the function."""
        if not self._left:
            await self._chunks.put(chunk)

    def end(self) -> None:
        self._over = True
        if not self._head.done():
            self._head.set_result(None)
        with suppress(asyncio.QueueFull):
            self._chunks.put_nowait(b"")  # wakes a client that waits


class Environments:
    """The environments of a function: as many as there are requests at once. `find` says how it is configured now."""

    def __init__(self, places: Places, find: Callable[[], Function | None]) -> None:
        self._places = places
        self._find = find
        self._function: Function | None = None
        self._all: set[Environment] = set()
        self._idle: list[Environment] = []
        self._busy = 0
        self._starting = asyncio.Semaphore(STARTS)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=_KEEP_ALIVE_SECONDS)
        self._client = httpx2.AsyncClient(timeout=None, limits=limits, trust_env=False)  # the function's own time-out holds
        self._machine = await asyncio.to_thread(Machine.prepare, self._places)
        self._function = await asyncio.to_thread(self._find)
        self._run(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self) -> None:
        """End all environments at once, and with them what they answer; no request gets one from now on."""
        self._function = None
        for task in self._tasks:
            task.cancel()
        for environment in self._all:
            environment.kill()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(environment.end() for environment in self._all))
        self._all.clear()
        self._idle.clear()
        await self._client.aclose()

    def invoke(self, call: Call) -> Answer | int:
        """Hand the request to an environment; the status of an error where there is none for it."""
        if self._function is None:
            return httpx2.codes.BAD_GATEWAY
        if self._busy >= self._function.concurrency:
            return httpx2.codes.INTERNAL_SERVER_ERROR  # what API Gateway makes of Lambda's 429
        self._busy += 1
        answer = Answer()
        self._run(self._invoke(self._function, call, answer))
        return answer

    def _run(self, job: Any) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _invoke(self, function: Function, call: Call, answer: Answer) -> None:
        try:
            environment = await self._take(function)
            if await self._serve(environment, call, answer) and environment.function == self._function:
                environment.freeze()
                self._idle.append(environment)
            else:
                await self._end(environment)
        except StartError as error:
            logger.warning("%s %s", call.id, error)
        finally:
            self._busy -= 1
            answer.end()

    async def _take(self, function: Function) -> Environment:
        """The one that was used last of those that are free, or a new one."""
        if not (free := self._free(function)):
            async with self._starting:
                free = self._free(function) or await self._start(function)
        return free

    def _free(self, function: Function) -> Environment | None:
        found = next((one for one in reversed(self._idle) if one.function == function and one.alive), None)
        if found:
            self._idle.remove(found)
        return found

    async def _start(self, function: Function) -> Environment:
        environment = Environment(function, self._machine)
        self._all.add(environment)
        try:
            await environment.ready(self._client)
        except StartError:
            await self._end(environment)
            raise
        return environment

    async def _serve(self, environment: Environment, call: Call, answer: Answer) -> bool:
        """Whether all of the response came, in time; it is read to its end whether or not there is a client."""
        seconds = environment.function.timeout
        try:
            async with asyncio.timeout(seconds), environment.answer(self._client, call) as response:
                answer.begin(response.status_code, [(n.lower(), v) for n, v in response.headers.raw if n.lower() not in _NOT_PASSED_ON])
                async for chunk in response.aiter_raw():
                    await answer.write(chunk)
        except TimeoutError:
            logger.warning("%s Task timed out after %.2f seconds", call.id, seconds)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            logger.warning("%s %s broke off, %r: %s", call.id, environment.function.handler, error, environment.last_words)
        else:
            return True
        return False

    async def _look(self) -> None:
        """Again and again: which function there is now; and end the free environments of another, or that nobody needed for long."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._function = await asyncio.to_thread(self._find)
            since = time.monotonic() - IDLE_SECONDS
            kept = [one for one in self._idle if one.function == self._function and one.idle_since > since and one.alive]
            ended, self._idle = set(self._idle) - set(kept), kept
            for environment in ended:
                await self._end(environment)

    async def _end(self, environment: Environment) -> None:
        await environment.end()
        self._all.discard(environment)


class Streamed(StreamingResponse):
    """An answer as a response: the client's leaving is told, also before the first byte."""

    def __init__(self, answer: Answer, status: int, headers: Headers) -> None:
        super().__init__(answer.chunks(), status)
        self.raw_headers = headers
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answer.leave()


def create_app(pool: Environments) -> Starlette:
    """Every request, whatever its path and method, goes to the function."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with pool:
            yield

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientDisconnect):
            response = await _response(pool, Request(scope, receive))
            await response(scope, receive, send)

    return Starlette(routes=[Mount("/", serve)], lifespan=lifespan)


async def _response(pool: Environments, request: Request) -> Response:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES:
            return _refused(httpx2.codes.CONTENT_TOO_LARGE)
    query = request.scope["query_string"]
    target = request.scope["raw_path"] + (b"?" + query if query else b"")
    answer = pool.invoke(Call(request.method, target, request.headers.raw, bytes(body)))
    if isinstance(answer, int):
        return _refused(answer)
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            head = await answer.head()
    except TimeoutError:
        answer.leave()
        return _refused(httpx2.codes.GATEWAY_TIMEOUT)
    return Streamed(answer, *head) if head else _refused(httpx2.codes.BAD_GATEWAY)


def _refused(status: int) -> Response:
    """In the words of API Gateway."""
    words = {413: "Request Too Long", 500: "Internal server error", 502: "Internal server error", 504: "Endpoint request timed out"}
    return JSONResponse({"message": words[status]}, status)


class Deployed:
    """The function as it is deployed on the local endpoint; none where it is not. While its stack changes, as it was before."""

    def __init__(self, places: Places, name: str) -> None:
        self._places = places
        self._name = name
        self._functions, self._formation = aws(places, "lambda"), aws(places, "cloudformation")
        self._last: Function | None = None
        self._template: tuple[str, dict[str, Any]] | None = None  # revision of the function, and its properties

    def __call__(self) -> Function | None:
        try:
            self._last = self._found() or self._last
        except self._functions.exceptions.ResourceNotFoundException:
            self._last = None
        except (BotoCoreError, ClientError) as error:
            logger.warning("the local endpoint does not say how %s is configured: %s", self._name, error)
        return self._last

    def _found(self) -> Function | None:
        answer = self._functions.get_function(FunctionName=self._name)
        configuration = answer["Configuration"]
        if self._template is None or self._template[0] != configuration["RevisionId"]:
            if (read := self._properties()) is None:
                return None
            self._template = configuration["RevisionId"], read
        _, properties = self._template
        reserved = properties.get("ReservedConcurrentExecutions", 1_000)
        return Function(
            folder=self._places.folder / "cdk.out" / f"asset.{Path(properties['Code']['S3Key']).stem}",
            handler=configuration["Handler"],
            environment=configuration.get("Environment", {}).get("Variables", {}),
            timeout=configuration["Timeout"],
            concurrency=answer.get("Concurrency", {}).get("ReservedConcurrentExecutions", reserved),
            memory=configuration["MemorySize"],
            name=self._name,
        )

    def _properties(self) -> dict[str, Any] | None:
        """What the template says: Lambda does not tell where the code came from, and MiniStack drops the reserved concurrency."""
        for stack in self._formation.describe_stacks()["Stacks"]:
            name, status = stack["StackName"], stack["StackStatus"]
            resources = [] if status == "DELETE_COMPLETE" else self._formation.describe_stack_resources(StackName=name)["StackResources"]
            for resource in resources:
                if resource["PhysicalResourceId"] == self._name and status.endswith("_COMPLETE"):
                    template = self._formation.get_template(StackName=name)["TemplateBody"]
                    properties: dict[str, Any] = template["Resources"][resource["LogicalResourceId"]]["Properties"]
                    return properties
        return None


class Server(uvicorn.Server):
    """On SIGTERM the environments end first: streams end with them, and none is waited for."""

    def __init__(self, pool: Environments, port: int) -> None:
        where: dict[str, Any] = {"host": "127.0.0.1", "port": port, "ws": "none", "backlog": 4096}
        quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False, "timeout_graceful_shutdown": 2}
        super().__init__(uvicorn.Config(create_app(pool), **where, **quiet))
        self._pool = pool

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self.servers:
            listener.close()
        await self._pool.end()
        await super().shutdown(sockets)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.environments", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--endpoint-port", type=int, required=True)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--function")
    which.add_argument("--configuration", type=Path)
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s")
    places = Places(chosen.folder.resolve(), chosen.endpoint_port, 0)
    find = Deployed(places, chosen.function) if chosen.function else _configured(chosen.configuration)
    Server(Environments(places, find), chosen.port).run()


def _configured(file: Path) -> Callable[[], Function]:
    fields = json.loads(file.read_text())
    function = Function(**fields | {"folder": Path(fields["folder"])})
    return lambda: function


if __name__ == "__main__":
    main()
