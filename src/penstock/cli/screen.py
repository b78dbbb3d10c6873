"""What the demo shows; the only file that knows rich. Without a terminal: plain lines."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from penstock.client import ExecutionReport
from penstock.errors import MissingExtraError
from penstock.session import NodeProgress

try:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text
except ImportError as exc:
    raise MissingExtraError("penstock demo", "rich", extra="demo") from exc

_PLAIN_WIDTH = 120
_LONG = "reason"
_STYLES = {"ready": "green", "error": "red"}


class _Console(Console):
    """Leaves it to its caller what happens where nobody reads any more."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Screen:
    """Writes to stdout; raises ``OSError`` where it can't."""

    def __init__(self) -> None:
        self._console = _Console(highlight=False)
        if not self._console.is_terminal:
            self._console = _Console(highlight=False, width=_PLAIN_WIDTH)
        self._live: Live | None = None

    def say(self, label: str, text: str) -> None:
        """A line with its label in front, below the nodes: they have been initialised."""
        if self._live is not None:
            self._live.stop()
        self._console.print(Text.assemble((f"{label:>10}  ", "bold"), text))

    @contextlib.contextmanager
    def initialisation(self) -> Iterator[Callable[[NodeProgress], None]]:
        """Gives what to call with each node's progress: a table that changes, or lines."""
        if not self._console.is_terminal:
            yield self._print_progress
            return
        latest: dict[str, NodeProgress] = {}

        def show(progress: NodeProgress) -> None:
            latest[progress.node_id] = progress
            live.update(_progress_table(latest), refresh=True)

        with Live(_progress_table(latest), console=self._console, auto_refresh=False) as live:
            self._live = live
            yield show

    def report(self, report: ExecutionReport, order: Sequence[str]) -> None:
        """The nodes in this order and the bridges, as the service measured them."""
        nodes = _table("node", "executor", "reason", "pid", "items", "outputs", "time")
        for node_id in order:
            node = report.nodes[node_id]
            nodes.add_row(
                node_id,
                node.executor,
                node.reason,
                str(node.pid),
                str(node.items_processed),
                str(node.outputs),
                f"{node.execution_time_s * 1e3:.1f} ms",
            )
        bridges = _table("bridge", "strategy", "messages", "bytes", "conversion time")
        for bridge in report.bridges:
            bridges.add_row(
                f"{bridge.source} → {bridge.target}",
                bridge.strategy,
                str(bridge.messages_transferred),
                f"{bridge.bytes_transferred:,}",
                f"{bridge.conversion_latency_us / 1e3:.2f} ms",
            )
        self._console.print(nodes, bridges)

    def _print_progress(self, progress: NodeProgress) -> None:
        self.say(progress.node_id, f"{progress.elapsed_s:5.2f} s  {_described(progress)}")


def _progress_table(latest: dict[str, NodeProgress]) -> Table:
    table = _table("node", "initialisation", "after")
    for node_id, progress in latest.items():
        stage = Text(_described(progress), style=_STYLES.get(progress.stage, "yellow"))
        table.add_row(node_id, stage, f"{progress.elapsed_s:.2f} s")
    return table


def _described(progress: NodeProgress) -> str:
    fraction = f" {progress.fraction:.0%}" if 0 < progress.fraction < 1 else ""
    return f"{progress.stage}{fraction} {progress.message}".rstrip()


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, no_wrap=header != _LONG)  # it gives way in a narrow terminal
    return table
