"""The control bus: taps, intercepts, inputs and node states, while a session runs."""

from penstock.session.bus.attachment import Attachment
from penstock.session.bus.bus import Bus
from penstock.session.bus.intercept import DEADLINE_S, Intercept, InterceptRequest
from penstock.session.bus.tap import Tap, TapEvent

__all__ = [
    "DEADLINE_S",
    "Attachment",
    "Bus",
    "Intercept",
    "InterceptRequest",
    "Tap",
    "TapEvent",
]
