"""Whether a session ended as it had to."""

from __future__ import annotations

from bench.storm.errands import Errand
from bench.storm.strikes import Victim, node_of
from bench.storm.talks import Course
from penstock.errors import ServiceError

_CLIENTS = (Victim.CHANNEL, Victim.CLIENT)
_SIGKILL = "was killed by SIGKILL"


def faults(errand: Errand, course: Course) -> list[str]:
    """Everything that was not as it should be."""
    found = ["the call hung"] if course.hung else []
    if not _is_silent(errand):
        found += _wrong_outputs(errand, course)
        found += _wrong_end(errand, course)
    return found


def latency_s(errand: Errand, course: Course) -> float | None:
    """From a process's death to its client's error; None where the client was told of none."""
    strike = errand.strike
    if strike is None or strike.hit is None or strike.struck_at is None or course.error is None:
        return None
    return course.ended_at - strike.struck_at


def _is_silent(errand: Errand) -> bool:
    """Whether it was the client itself that was struck: what it was told doesn't count."""
    strike = errand.strike
    return strike is not None and strike.victim in _CLIENTS and strike.struck_at is not None


def _wrong_outputs(errand: Errand, course: Course) -> list[str]:
    """Whatever came must be right, and all of it where the session ended well."""
    if errand.strike is not None and errand.strike.victim is Victim.CLIENT:
        return []  # they came to another process
    expected = [errand.pipeline.expected(payload) for payload in errand.payloads]
    found = []
    for sink in errand.pipeline.sinks:
        got, wanted = course.outputs[sink], [one[sink] for one in expected]
        if got != wanted[: len(got)]:
            found.append(f"{sink}: an output is not what it should be")
        elif course.error is None and not course.hung and len(got) < len(wanted):
            found.append(f"{sink}: {len(got)} outputs of {len(wanted)}")
    return found


def _wrong_end(errand: Errand, course: Course) -> list[str]:
    strike = errand.strike
    if course.error is None:
        return []
    if strike is None or strike.hit is None:
        return [f"failed, and nobody struck it: {course.error}"]
    return [] if _names_the_cause(course.error, errand) else [f"{strike.hit}: {course.error}"]


def _names_the_cause(error: Exception, errand: Errand) -> bool:
    strike = errand.strike
    if strike is None or strike.hit is None or not isinstance(error, ServiceError):
        return False
    if strike.victim is Victim.NODE:
        # the kernel cuts the process's name
        named = error.node_id.startswith(node_of(strike.hit))
        return named and error.error_type == "NODE_EXECUTION" and _SIGKILL in str(error)
    if strike.victim is Victim.HOST:
        return _SIGKILL in str(error)
    return "supervisor" in str(error)
