"""Answers of a model on Amazon Bedrock, by ConverseStream."""

from collections.abc import Generator, Sequence
from functools import cached_property
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EventStreamError

from realtime.answers import Message, Usage
from realtime.errors import Code, RealtimeError

READ_SECONDS = 60
"""How long a model may be silent, also before its first word."""

_BUSY = frozenset({"ThrottlingException", "ModelNotReadyException", "ServiceUnavailableException", "throttlingException"})


class Bedrock:
    """`name` is the id of a model or of an inference profile."""

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def client(self) -> Any:
        """Made with the first question: it takes 50 ms, which streams need not wait for."""
        config = Config(connect_timeout=2, read_timeout=READ_SECONDS, retries={"total_max_attempts": 2}, tcp_keepalive=True)
        return botocore.session.get_session().create_client("bedrock-runtime", config=config)

    def answer(self, messages: Sequence[Message], max_tokens: int) -> Generator[str | Usage]:
        """A refusal of Bedrock's is `invalid`, `unavailable` or, where it is our mistake (rights, a wrong id), `internal`."""
        try:
            stream = self.client.converse_stream(
                modelId=self.name,
                messages=[{"role": message.role, "content": [{"text": message.text}]} for message in messages],
                inferenceConfig={"maxTokens": max_tokens},
            )["stream"]
            try:
                yield from _pieces(stream)
            finally:
                stream.close()  # else Bedrock goes on writing, and counting
        except (ClientError, EventStreamError) as error:
            raise _refusal(error.response["Error"]["Code"]) from error
        except BotoCoreError as error:
            raise RealtimeError(Code.UNAVAILABLE, "the model does not answer just now", retry_after=5) from error


def _pieces(stream: Any) -> Generator[str | Usage]:
    reason = ""
    for event in stream:
        match event:
            case {"contentBlockDelta": {"delta": {"text": str(text)}}} if text:
                yield text
            case {"messageStop": {"stopReason": str(reason)}}:
                pass
            case {"metadata": {"usage": {"inputTokens": int(asked), "outputTokens": int(written)}}}:
                yield Usage(asked, written, reason)


def _refusal(code: str) -> RealtimeError:
    if code in _BUSY:
        return RealtimeError(Code.UNAVAILABLE, "the model has too much to do just now", retry_after=5)
    if code == "ValidationException":
        return RealtimeError(Code.INVALID, "the model refused the question: it may be too long")
    return RealtimeError(Code.INTERNAL, "the model failed")
