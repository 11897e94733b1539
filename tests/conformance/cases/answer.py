"""The head of the answer, and what is refused before a stream begins."""

from email.message import Message

from tests.conformance.case import CONTRACT, HTML, Run, case
from tests.conformance.client import Stream

FIRST_BYTE_SECONDS = 1.0


@case(f"{HTML} 9.2.3")
def status_is_200(run: Run) -> None:
    """A client fails the connection for good on any other status."""
    head = run.request().head
    assert head.status == 200, f"status is {head.status}"


@case(f"{HTML} 9.2.3, 9.2.5")
def content_type_is_an_event_stream(run: Run) -> None:
    """`text/event-stream`; the one parameter is charset, and it can only say UTF-8."""
    value = run.open().head.get("content-type") or ""
    message = Message()
    message["Content-Type"] = value
    names = {name.lower() for name, _ in (message.get_params() or [])[1:]}
    charset = message.get_param("charset") or "utf-8"
    assert message.get_content_type() == "text/event-stream", f"content-type is {value!r}"
    assert names <= {"charset"}, f"content-type is {value!r}"
    assert str(charset).lower() == "utf-8", f"content-type is {value!r}"


@case(CONTRACT)
def first_byte_comes_at_once(run: Run) -> None:
    """Within a second of the request, event or not: else proxies and clients take the server for dead."""
    run.open().begin(FIRST_BYTE_SECONDS)


@case("RFC 9110 8.6, 9112 6")
def length_is_not_told(run: Run) -> None:
    """A stream has no end that could be known: no Content-Length. It is chunked, or ends with its connection."""
    head = run.open().head
    assert head.get("content-length") is None, f"content-length is {head.get('content-length')}"
    coding = head.get("transfer-encoding")
    assert coding in {"chunked", None}, f"transfer-encoding is {coding}"


@case("RFC 9110 8.4")
def nothing_is_compressed(run: Run) -> None:
    """No Content-Encoding, whatever Accept-Encoding offers: a compressor waits for more to compress."""
    stream = run.request(headers={"Accept-Encoding": "gzip, br, zstd, deflate"})
    coding = stream.head.get("content-encoding")
    assert coding in {None, "identity"}, f"content-encoding is {coding}"


@case("RFC 9111 5.2.2", "proxies")
def nobody_stores_it(run: Run) -> None:
    """Cache-Control is no-store or no-cache: a cache must not answer with an old stream."""
    tokens = run.open().head.tokens("cache-control")
    assert tokens & {"no-store", "no-cache"}, f"cache-control is {sorted(tokens)}"
    assert "public" not in tokens, f"cache-control is {sorted(tokens)}"


@case("RFC 9111 5.2.2.6, nginx", "proxies")
def no_proxy_holds_it_back(run: Run) -> None:
    """`no-transform` keeps a proxy from compressing, `X-Accel-Buffering: no` nginx from buffering."""
    head = run.open().head
    assert "no-transform" in head.tokens("cache-control"), f"cache-control is {head.get('cache-control')}"
    assert head.get("x-accel-buffering") == "no", f"x-accel-buffering is {head.get('x-accel-buffering')}"


@case("RFC 9110 6.6.1")
def date_is_told_once(run: Run) -> None:
    """A server with a clock sends Date; one line of it, and of every other field that is no list."""
    head = run.open().head
    for name in ("date", "content-type"):
        assert len(head.all(name)) == 1, f"{name}: {head.all(name)}"


@case("RFC 9112 6.1")
def an_old_client_gets_no_chunks(run: Run) -> None:
    """To a request of HTTP/1.0, as nginx sends to its upstreams by default, a server must not send Transfer-Encoding."""
    stream = run.request(version="1.0")
    assert stream.head.status in {200, 400, 426, 505}, f"status is {stream.head.status}"
    coding = stream.head.get("transfer-encoding")
    assert coding is None, f"transfer-encoding is {coding}"


@case("RFC 9110 9.3.2")
def head_has_no_body(run: Run) -> None:
    """HEAD is refused with 405, or answered like GET, but without a byte of body."""
    stream = run.request(method="HEAD")
    assert stream.head.status in {200, 405, 501}, f"status is {stream.head.status}"
    _allows(stream)
    stream.read_for(0.3)
    assert not stream.raw.partition(b"\r\n\r\n")[2], f"a body came: {stream.raw[-60:]!r}"


@case("RFC 9110 15.5.6")
def another_method_is_refused(run: Run) -> None:
    """DELETE gets no stream; where the answer is 405, Allow names the methods that the stream knows. So it does for POST."""
    stream = run.request(method="DELETE")
    assert 400 <= stream.head.status < 500 or stream.head.status == 501, f"status of DELETE is {stream.head.status}"
    _allows(stream)
    _allows(run.request(method="POST"))


@case("RFC 9110 15.5.5", "unknown")
def unknown_stream_is_404(run: Run) -> None:
    """An answer that ends, and no stream: a client then gives up."""
    stream = run.request(run.target.unknown)
    assert stream.head.status == 404, f"status is {stream.head.status}"
    _is_no_stream(stream)


@case("RFC 9110 11.6.1", "private")
def missing_credentials_are_401(run: Run) -> None:
    """And WWW-Authenticate says which are meant."""
    stream = run.request(run.target.private)
    assert stream.head.status == 401, f"status is {stream.head.status}"
    assert stream.head.get("www-authenticate"), "no WWW-Authenticate"
    _is_no_stream(stream)


@case("RFC 9457 3, our table of errors", "problems unknown private")
def refusals_are_problem_documents(run: Run) -> None:
    """application/problem+json, and not to be stored."""
    for place in (run.target.unknown, run.target.private):
        head = run.request(place).head
        kind = (head.get("content-type") or "").partition(";")[0]
        assert kind == "application/problem+json", f"content-type of {head.status} is {kind}"
        assert "no-store" in head.tokens("cache-control"), f"cache-control of {head.status} is {head.get('cache-control')}"


@case(f"{HTML} 9.2.3, RFC 9110 15.3.5", "over")
def stream_that_is_over_is_204(run: Run) -> None:
    """204 stops a client for good, and has neither body nor length."""
    stream = run.request(run.target.over)
    assert stream.head.status == 204, f"status is {stream.head.status}"
    for name in ("content-length", "transfer-encoding"):
        assert stream.head.get(name) is None, f"{name} is {stream.head.get(name)}"
    stream.read_for(0.2)
    assert not stream.body, f"a body came: {stream.body!r}"


@case("Fetch 3.2", "cors")
def pages_of_other_origins_may_read(run: Run) -> None:
    """EventSource asks with Origin, and a client on fetch may first ask whether it may send Last-Event-ID."""
    origin = {"Origin": "https://page.example"}
    allowed = run.request(headers=origin).head.get("access-control-allow-origin")
    assert allowed in {"*", origin["Origin"]}, f"access-control-allow-origin is {allowed}"
    asks = origin | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "last-event-id"}
    head = run.request(headers=asks, method="OPTIONS").head
    assert head.status in {200, 204}, f"status of the preflight is {head.status}"
    assert head.tokens("access-control-allow-headers") & {"*", "last-event-id"}, "Last-Event-ID may not be sent"


def _allows(stream: Stream) -> None:
    if stream.head.status == 405:
        assert "get" in stream.head.tokens("allow"), f"allow is {stream.head.get('allow')}"


def _is_no_stream(stream: Stream) -> None:
    kind = stream.head.get("content-type") or ""
    assert not kind.startswith("text/event-stream"), f"content-type is {kind}"
    stream.answer()
