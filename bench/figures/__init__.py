"""The figures, in the order in which they are measured."""

from bench.figures.cpu_bound import CPU_BOUND
from bench.figures.grpc_execute import GRPC_EXECUTE
from bench.figures.grpc_stream import GRPC_STREAM, GRPC_STREAM_RATE
from bench.figures.hop_latency import HOP_LATENCY
from bench.figures.hop_throughput import HOP_THROUGHPUT
from bench.figures.plan_time import PLAN_TIME
from bench.figures.session_start import SESSION_START
from bench.measurement import Figure

_ALL = (
    PLAN_TIME,
    SESSION_START,
    CPU_BOUND,
    GRPC_EXECUTE,
    GRPC_STREAM,
    GRPC_STREAM_RATE,
    HOP_LATENCY,
    HOP_THROUGHPUT,
)
FIGURES: dict[str, Figure] = {figure.name: figure for figure in _ALL}
