"""Answers of a model on Amazon Bedrock, by ConverseStream."""

import logging
import re
from collections.abc import Generator, Sequence
from functools import cached_property
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EventStreamError
from urllib3.exceptions import HTTPError

from realtime.answers import SILENT_SECONDS, Message, Usage
from realtime.errors import Code, RealtimeError

logger = logging.getLogger("realtime.bedrock")

_TOO_LONG = re.compile(r"too (long|large|many)|exceed|maximum", re.IGNORECASE)
_BUSY = frozenset({"ThrottlingException", "ModelNotReadyException", "ServiceUnavailableException", "throttlingException"})


class Bedrock:
    """`name` is the id of a model or of an inference profile."""

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def client(self) -> Any:
        """Made with the first question: it takes 50 ms, which streams need not wait for. Whoever asks, tries again."""
        config = Config(connect_timeout=2, read_timeout=SILENT_SECONDS, retries={"total_max_attempts": 1}, tcp_keepalive=True)
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
            code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
            logger.warning("Bedrock refused: %s: %s", code, message[:500])
            raise _refusal(code, message) from error
        except (BotoCoreError, HTTPError) as error:  # HTTPError: in the middle of the stream, where botocore only reads
            logger.warning("Bedrock does not answer: %r", error)
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


def _refusal(code: str, message: str) -> RealtimeError:
    if code in _BUSY:
        return RealtimeError(Code.UNAVAILABLE, "the model has too much to do just now", retry_after=5)
    if code == "ValidationException" and _TOO_LONG.search(message):
        return RealtimeError(Code.INVALID, "the question is too long for the model")
    return RealtimeError(Code.INTERNAL, "the model failed; why is in the service's log")  # most often rights, or an id that is wrong here
