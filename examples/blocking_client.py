"""Talk to a service from a program without an event loop: ``python blocking_client.py TARGET``."""

from __future__ import annotations

import sys
from pathlib import Path

from penstock.client import BlockingClient

MANIFEST = Path(__file__).with_name("first_pipeline.json")


def main(target: str) -> None:
    """Say who we are, and print what is answered."""
    with BlockingClient(target) as client, client.stream(MANIFEST) as stream:
        stream.send("hear", "my name is Ada")
        stream.close()
        for output in stream.outputs(timeout_s=30):
            print(output.node_id, output.value.text)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051")
