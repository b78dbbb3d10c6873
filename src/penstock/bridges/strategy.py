"""How data changes hands between two executors."""

from __future__ import annotations

from enum import StrEnum

from penstock.data import ExecutorType


class ConversionStrategy(StrEnum):
    """What a bridge does to a message on its way."""

    DIRECT = "Direct"
    """The same executor: the reference passes."""
    NATIVE_TO_IPC = "NativeToIPC"
    """Memory of the session's process into a shared-memory slot."""
    IPC_TO_NATIVE = "IPCToNative"
    """A shared-memory slot as a read-only view in the session's process."""
    SHARED_MEMORY = "SharedMemory"
    """Both ends map the slot: nothing is copied."""
    NATIVE_TO_WASM = "NativeToWasm"
    WASM_TO_NATIVE = "WasmToNative"
    IPC_TO_WASM = "IPCToWasm"
    WASM_TO_IPC = "WasmToIPC"


_N, _M, _W = ExecutorType.NATIVE, ExecutorType.MULTIPROCESS, ExecutorType.WASM
_STRATEGIES = {
    (_N, _N): ConversionStrategy.DIRECT,
    (_W, _W): ConversionStrategy.DIRECT,
    (_N, _M): ConversionStrategy.NATIVE_TO_IPC,
    (_M, _N): ConversionStrategy.IPC_TO_NATIVE,
    (_M, _M): ConversionStrategy.SHARED_MEMORY,
    (_N, _W): ConversionStrategy.NATIVE_TO_WASM,
    (_W, _N): ConversionStrategy.WASM_TO_NATIVE,
    (_M, _W): ConversionStrategy.IPC_TO_WASM,
    (_W, _M): ConversionStrategy.WASM_TO_IPC,
}


def strategy_for(source: ExecutorType, target: ExecutorType) -> ConversionStrategy:
    """The strategy that a pair of executors needs."""
    return _STRATEGIES[source, target]
