"""`python -m tests.browser.httpx2_client URL TOKEN`: httpx2 on a stream; prints a line of JSON for all that it hears.

httpx2 reads a stream to its end and no further; to come back with the cursor is left to its caller, as here.
"""

import json
import sys
import time

import httpx2

SILENT_SECONDS = 45.0
"""Three heartbeats: who hears nothing for so long has lost the connection. httpx2's own 5 s are shorter than one."""


def main() -> None:
    url, token = sys.argv[1:]
    headers = {"Authorization": f"Bearer {token}"}
    pause = 3.0
    with httpx2.Client(timeout=httpx2.Timeout(5, read=SILENT_SECONDS)) as client:
        while True:
            try:
                with client.sse(url, headers=headers) as stream:
                    stream.response.raise_for_status()
                    say("open")
                    for event in stream:
                        pause = pause if event.retry is None else event.retry / 1000
                        if event.id:
                            headers["Last-Event-ID"] = event.id
                        if event.data:
                            say(event.event, event.id, event.data)
            except httpx2.TransportError as error:
                say("error", data=str(error))
            time.sleep(pause)


def say(type: str, id: str = "", data: str = "") -> None:
    print(json.dumps({"type": type, "at": time.time(), "id": id, "data": data}), flush=True)


if __name__ == "__main__":
    main()
