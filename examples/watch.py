"""Watch and change a pipeline of a service while it runs: ``python watch.py TARGET``.

The stream knows nothing of who is attached; he may as well be another program.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from penstock.client import BlockingClient, BlockingIntercept, BlockingStream

MANIFEST = Path(__file__).with_name("first_pipeline.json")


def main(target: str) -> None:
    """See what is heard, and have a say in what is answered."""
    with (
        BlockingClient(target) as client,
        client.stream(MANIFEST) as stream,
        client.attach(stream.session_id) as attachment,
    ):
        heard = attachment.tap("hear")
        replies = attachment.intercept("reply", deadline_s=10)
        censoring = threading.Thread(target=censor, args=(replies,))
        censoring.start()
        talk(stream)
        for event in heard:
            print("heard:", event.value.text)
        censoring.join()


def censor(replies: BlockingIntercept) -> None:
    """Decide about each reply, until the session is over."""
    for request in replies:
        if "ada" in request.value.text:
            request.replace("I don't know that one.")
        else:
            request.let_pass()


def talk(stream: BlockingStream) -> None:
    """Say two things, and print what is answered."""
    for name in ("Ada", "Grace"):
        stream.send("hear", f"my name is {name}")
    stream.close()
    for output in stream.outputs(timeout_s=30):
        print("answered:", output.value.text)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051")
