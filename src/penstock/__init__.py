"""Penstock runs media and AI pipelines that a manifest describes.

The public names live here. Each is loaded when it is first asked for, so that a node's
process, which needs few of them, loads few. The client of the service is ``penstock.client``,
and what tests of nodes need is ``penstock.testing``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.data import (
        Audio,
        BatchHint,
        Binary,
        CancelSpeculation,
        Control,
        DeadlineWarning,
        ExecutorType,
        Json,
        Kind,
        PixelFormat,
        Tensor,
        Text,
        Value,
        Video,
        VideoCodec,
        replace,
    )
    from penstock.errors import (
        AccessError,
        ConfigurationError,
        ConservationError,
        Fault,
        InputError,
        InvalidTransition,
        InvalidValueError,
        LaneClosedError,
        LaneError,
        LibraryError,
        ManifestError,
        MissingExtraError,
        NodeAddressError,
        NodeError,
        NodeExecutionError,
        NodeExitedError,
        NodeTimeoutError,
        PenstockError,
        ResourceLimitError,
        SequenceError,
        ServiceError,
        SessionCancelledError,
        SessionClosedError,
        SessionError,
        SessionIdleError,
        StallError,
        SupervisionError,
        UnknownNodeError,
        VersionError,
    )
    from penstock.manifest import Manifest, Settings, load_settings, parse_manifest
    from penstock.nodes import Catalogue, Join, JoinParams, Node, NodeContext, NodeParams, node
    from penstock.planning import NodeExecutionPlan, Report, check_manifest, make_plan
    from penstock.session import (
        Attachment,
        Budget,
        Intercept,
        InterceptRequest,
        Interruption,
        NodeOutput,
        NodeProgress,
        NodeState,
        Output,
        Session,
        SessionMetrics,
        SessionOptions,
        SessionStatus,
        SessionTotals,
        Tap,
        TapEvent,
    )

__version__ = "0.1.0"

__all__ = [
    "AccessError",
    "Attachment",
    "Audio",
    "BatchHint",
    "Binary",
    "Budget",
    "CancelSpeculation",
    "Catalogue",
    "ConfigurationError",
    "ConservationError",
    "Control",
    "DeadlineWarning",
    "ExecutorType",
    "Fault",
    "InputError",
    "Intercept",
    "InterceptRequest",
    "Interruption",
    "InvalidTransition",
    "InvalidValueError",
    "Join",
    "JoinParams",
    "Json",
    "Kind",
    "LaneClosedError",
    "LaneError",
    "LibraryError",
    "Manifest",
    "ManifestError",
    "MissingExtraError",
    "Node",
    "NodeAddressError",
    "NodeContext",
    "NodeError",
    "NodeExecutionError",
    "NodeExecutionPlan",
    "NodeExitedError",
    "NodeOutput",
    "NodeParams",
    "NodeProgress",
    "NodeState",
    "NodeTimeoutError",
    "Output",
    "PenstockError",
    "PixelFormat",
    "Report",
    "ResourceLimitError",
    "SequenceError",
    "ServiceError",
    "Session",
    "SessionCancelledError",
    "SessionClosedError",
    "SessionError",
    "SessionIdleError",
    "SessionMetrics",
    "SessionOptions",
    "SessionStatus",
    "SessionTotals",
    "Settings",
    "StallError",
    "SupervisionError",
    "Tap",
    "TapEvent",
    "Tensor",
    "Text",
    "UnknownNodeError",
    "Value",
    "VersionError",
    "Video",
    "VideoCodec",
    "__version__",
    "check_manifest",
    "load_settings",
    "make_plan",
    "node",
    "parse_manifest",
    "replace",
]

_HOMES = ("data", "errors", "nodes", "manifest", "planning", "session")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _HOMES:
            found = getattr(importlib.import_module(f"{__name__}.{home}"), name, None)
            if found is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
