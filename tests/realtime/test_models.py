"""The models behind the port: one that needs no network, and Bedrock's wire, with the endpoint's canned text."""

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError, ReadTimeoutError

from realtime.answers import Message, Usage
from realtime.bedrock import Bedrock
from realtime.errors import Code, RealtimeError
from realtime.ngram import _TOKEN, Ngram, _docstrings
from tests.endpoint import Endpoint

QUESTION = [Message("user", "What is a cursor?")]


def said(parts: Sequence[str | Usage]) -> str:
    return "".join(part for part in parts if isinstance(part, str))


def test_ngram_writes_as_much_as_it_may() -> None:
    """And tells what it took; at most a tenth is missing, for the sake of a whole sentence."""
    *words, usage = Ngram(pace=0).answer(QUESTION, 500)
    assert isinstance(usage, Usage)
    assert 450 <= len(words) == usage.output_tokens <= 500
    assert usage.input_tokens == 5


def test_ngram_says_something_else_each_time() -> None:
    """It is no canned string: it throws dice, and each of its words is one of this package's own docstrings."""
    texts = {said(list(Ngram(pace=0).answer(QUESTION, 80))) for _ in range(5)}
    assert len(texts) == 5
    assert {word for text in texts for word in _TOKEN.findall(text)} <= {word for text in _docstrings() for word in _TOKEN.findall(text)}


@pytest.fixture
def bedrock(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Bedrock:
    for name, value in endpoint.places.environment().items():
        monkeypatch.setenv(name, value)
    return Bedrock("amazon.nova-micro-v1:0")


def test_bedrock_streams_and_counts(bedrock: Bedrock) -> None:
    """Over the real event-stream encoding: pieces, and at the end the usage with its reason."""
    *words, usage = bedrock.answer([*QUESTION, Message("assistant", "A place."), Message("user", "Where?")], 100)
    assert len(words) >= 2
    assert isinstance(usage, Usage)
    assert min(usage.input_tokens, usage.output_tokens) > 0
    assert usage.stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "ConverseStream"), Code.UNAVAILABLE),
        (ClientError({"Error": {"Code": "ValidationException", "Message": "Input is too long"}}, "ConverseStream"), Code.INVALID),
        (ClientError({"Error": {"Code": "ValidationException", "Message": "no on-demand throughput"}}, "ConverseStream"), Code.INTERNAL),
        (ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ConverseStream"), Code.INTERNAL),
        (EventStreamError({"Error": {"Code": "throttlingException", "Message": "slow"}}, "ConverseStream"), Code.UNAVAILABLE),
        (EventStreamError({"Error": {"Code": "modelStreamErrorException", "Message": "odd"}}, "ConverseStream"), Code.INTERNAL),
        (ReadTimeoutError(endpoint_url="https://bedrock"), Code.UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_refusals_of_bedrock_are_ours(
    bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch, failure: Exception, code: Code, late: bool
) -> None:
    """Before the first piece or after it; what Bedrock said is not told."""
    stream = Stream([{"contentBlockDelta": {"delta": {"text": "A"}}}], failure)

    def converse(**_: Any) -> dict[str, Any]:
        if late:
            return {"stream": stream}
        raise failure

    monkeypatch.setattr(bedrock.client, "converse_stream", converse)
    with pytest.raises(RealtimeError) as refused:
        list(bedrock.answer(QUESTION, 10))
    assert (refused.value.code, stream.closed) == (code, late)
    assert "slow" not in refused.value.detail


def test_model_that_goes_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a socket: the head of a stream, and then nothing."""
    monkeypatch.setattr("realtime.bedrock.SILENT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        silent = threading.Thread(target=head_alone, args=(server,))
        silent.start()
        with pytest.raises(RealtimeError) as refused:
            list(Bedrock("amazon.nova-micro-v1:0").answer(QUESTION, 10))
        silent.join()
    assert refused.value.code is Code.UNAVAILABLE


def head_alone(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.settimeout(5)
        connection.recv(65_536)
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        connection.recv(65_536)


def test_stopped_answer_ends_at_bedrock_too(bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would go on writing, and counting."""
    stream = Stream([{"contentBlockDelta": {"delta": {"text": piece}}} for piece in "abc"])
    monkeypatch.setattr(bedrock.client, "converse_stream", lambda **_: {"stream": stream})
    answer = bedrock.answer(QUESTION, 10)
    assert next(answer) == "a"
    answer.close()
    assert stream.closed


def test_question_is_sent_as_converse_wants_it(bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns with their text, and how long the answer may be."""
    asked: dict[str, Any] = {}
    monkeypatch.setattr(bedrock.client, "converse_stream", lambda **sent: asked.update(sent) or {"stream": Stream([])})
    assert list(bedrock.answer(QUESTION, 10)) == []
    assert json.loads(json.dumps(asked["messages"])) == [{"role": "user", "content": [{"text": "What is a cursor?"}]}]
    assert asked["inferenceConfig"] == {"maxTokens": 10}


class Stream:
    """Bedrock's event stream: events, and then perhaps a failure."""

    def __init__(self, events: Sequence[dict[str, Any]], failure: Exception | None = None) -> None:
        self.events = events
        self.failure = failure
        self.closed = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield from self.events
        if self.failure:
            raise self.failure

    def close(self) -> None:
        self.closed = True
