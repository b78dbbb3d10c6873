"""The command line of the abuse."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bench.abuse.attacker import attacking
from bench.abuse.attacks import ATTACKS
from bench.abuse.neighbour import Neighbour, Seen, neighbour
from bench.rpc.servers import server_process
from bench.storm.service import service
from penstock.manifest import digest_of, new_token

Serving = Callable[[str, str], AbstractContextManager[tuple[str, int]]]
"""A server that knows two tokens, by its address and its process."""
_COLUMNS = (
    f"{'beside':28} {'chunk p50':>10} {'p99':>8} {'newcomer':>10} {'refused':>8} {'memory':>8}"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Say what a real-time client sees of a service beside each sort of abuse.

    Times are in ms: a chunk's way there and back, the first answer on a new connection (the
    median). Memory is what the service's own process has at the end of the row, in MiB.
    """
    given = _parser().parse_args(arguments)
    serving = _bare if given.bare else _guarded
    asyncio.run(_measure(serving, given.only or list(ATTACKS), given.seconds, given.share))
    return 0


async def _measure(serving: Serving, names: Sequence[str], duration_s: float, share: float) -> None:
    print(_COLUMNS, flush=True)
    ours, theirs = new_token(), new_token()
    with serving(ours, theirs) as (address, pid):
        async with neighbour(address, ours) as client:
            await client.see(1)  # warm
            for name in names:
                await _row("nobody", pid, client, duration_s)
                count = max(round(ATTACKS[name][1] * share), 1)
                with attacking(name, address, theirs, count):
                    await _row(f"{count} {name}", pid, client, duration_s)
            await _row("nobody", pid, client, duration_s)


@contextmanager
def _bare(*_tokens: str) -> Iterator[tuple[str, int]]:
    """A server without Penstock, which knows no tokens and has gRPC's own limits."""
    with server_process("bench.abuse.bare") as (process, address):
        yield address, process.pid


@contextmanager
def _guarded(*tokens: str) -> Iterator[tuple[str, int]]:
    """A service that knows these tokens, and limits as they are by default."""
    with tempfile.TemporaryDirectory(prefix="penstock-abuse-") as folder:
        known, config = Path(folder, "tokens.toml"), Path(folder, "penstock.toml")
        lines = [f'[tokens.t{n}]\nsha256 = "{digest_of(one)}"' for n, one in enumerate(tokens)]
        known.write_text("\n".join(lines))
        known.chmod(0o600)
        config.write_text(f'[service]\ntokens = "{known}"\n')
        with service("--config", str(config)) as running:
            yield running.address, running.process.pid


async def _row(name: str, pid: int, client: Neighbour, duration_s: float) -> None:
    seen = await client.see(duration_s)
    print(f"{name:28} {_said(seen)} {_memory_mib(pid):8.0f}", flush=True)


def _said(seen: Seen) -> str:
    chunks = sorted(seen.chunks)
    late = chunks[round(0.99 * (len(chunks) - 1))]
    newcomer = statistics.median(seen.newcomers)
    return f"{statistics.median(chunks):10.2f} {late:8.2f} {newcomer:10.1f} {seen.refused:8}"


def _memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(x for x in status.splitlines() if x.startswith("VmRSS")).split()[1]) / 1024


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.abuse", description=main.__doc__)
    parser.add_argument("--only", action="append", choices=list(ATTACKS), help="one sort of abuse")
    parser.add_argument("--seconds", type=float, default=10, help="for each (default: 10)")
    parser.add_argument(
        "--bare", action="store_true", help="of a bare grpc.aio server, in the place of a service"
    )
    parser.add_argument("--share", type=float, default=1, help="of the full number of each")
    return parser
