"""The figures, in the order in which they are measured."""

from bench.figures.chain import CHAIN
from bench.figures.conversion import CONVERSION
from bench.figures.cpu_bound import CPU_BOUND
from bench.figures.cpu_per_message import CPU_FAN_OUT, CPU_NODES, CPU_RATE
from bench.figures.grpc_execute import GRPC_EXECUTE
from bench.figures.grpc_stream import GRPC_STREAM, GRPC_STREAM_RATE
from bench.figures.hop_executors import HOP_EXECUTORS
from bench.figures.hop_frameworks import HOP_FRAMEWORKS, HOP_FRAMEWORKS_PACED
from bench.figures.hop_latency import HOP_LATENCY, HOP_PACED, HOP_PLACED
from bench.figures.hop_throughput import EXECUTOR_THROUGHPUT, HOP_THROUGHPUT
from bench.figures.interrupt import INTERRUPT
from bench.figures.load import LATENESS, LOAD
from bench.figures.memory import MEMORY_LARGE, MEMORY_SMALL
from bench.figures.neighbours import NEIGHBOURS
from bench.figures.plan_time import PLAN_TIME
from bench.figures.process_start import PROCESS_MEMORY, PROCESS_START
from bench.figures.session_end import SERVICE_KILLED, SESSION_END
from bench.figures.session_start import SESSION_START
from bench.measurement import Figure

_ALL = (
    PLAN_TIME,
    PROCESS_START,
    PROCESS_MEMORY,
    SESSION_START,
    SESSION_END,
    SERVICE_KILLED,
    CPU_BOUND,
    GRPC_EXECUTE,
    GRPC_STREAM,
    GRPC_STREAM_RATE,
    LOAD,
    LATENESS,
    INTERRUPT,
    HOP_LATENCY,
    HOP_PACED,
    HOP_PLACED,
    HOP_FRAMEWORKS,
    HOP_FRAMEWORKS_PACED,
    HOP_EXECUTORS,
    HOP_THROUGHPUT,
    EXECUTOR_THROUGHPUT,
    CHAIN,
    CONVERSION,
    CPU_NODES,
    CPU_FAN_OUT,
    CPU_RATE,
    MEMORY_SMALL,
    MEMORY_LARGE,
    NEIGHBOURS,
)
FIGURES: dict[str, Figure] = {figure.name: figure for figure in _ALL}
