"""``PipelinePlanning``: what a manifest would start and cost, told before anything is."""

from __future__ import annotations

from penstock.errors import PenstockError
from penstock.service.admission import Admission
from penstock.service.call_log import CallLog
from penstock.service.callers import caller_of
from penstock.service.status import Context, abort_unforeseen
from penstock.wire.errors import encode_error
from penstock.wire.methods import PLAN_PIPELINE
from penstock.wire.v1 import penstock_pb2 as pb


class PlanningServicer:
    """Answers ``PlanPipeline``."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def plan(self, request: pb.PlanRequest, context: Context) -> pb.PlanResponse:
        """The plan with its cost, or every fault of the manifest."""
        log = CallLog(PLAN_PIPELINE.name, context.peer())
        try:
            caller = caller_of(context)
            plan = await self._admission.plan(request.manifest, request.client_version, caller)
            return pb.PlanResponse(plan=plan)
        except PenstockError as exc:
            log.failed(exc)
            return pb.PlanResponse(error=encode_error(exc))
        except Exception as exc:  # noqa: BLE001  # the last place that can log it and say so
            log.failed(exc)
            await abort_unforeseen(context)
