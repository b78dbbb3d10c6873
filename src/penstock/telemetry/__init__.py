"""What an operator sees of a service: metrics, logs and traces.

Handed in where the service is started; nothing that it watches knows of it.
"""

from penstock.telemetry.logs import configure_logs
from penstock.telemetry.observer import Telemetry, check_telemetry

__all__ = ["Telemetry", "check_telemetry", "configure_logs"]
