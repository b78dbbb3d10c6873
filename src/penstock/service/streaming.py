"""``StreamingPipelineService``: a manifest run on a stream of chunks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import grpc

from penstock.errors import (
    InputError,
    PenstockError,
    SessionCancelledError,
    SessionClosedError,
    SessionIdleError,
)
from penstock.service.admission import Admission, ServiceStoppingError
from penstock.service.call_log import CallLog
from penstock.service.callers import caller_of
from penstock.service.chunks import chunk_of
from penstock.service.course import Course
from penstock.service.feed import Feed
from penstock.service.limits import CallLimits, TimeOverError
from penstock.service.opening import SlowOpeningError
from penstock.service.pacing import comes_within, steadily
from penstock.service.passage import Passage
from penstock.service.replies import Replies
from penstock.service.requests import HEAR_OUT_S, read_request
from penstock.service.status import (
    FINE,
    STOPPING,
    UNFORESEEN,
    Context,
    Ending,
    EndingError,
    abort,
)
from penstock.service.unread import Patience
from penstock.session import Interruption, Session
from penstock.wire.methods import STREAM_PIPELINE
from penstock.wire.parted import Parted
from penstock.wire.stream_errors import InitRequiredError, status_details
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import streaming_pb2 as pb

COMPLETED = "completed"
CANCELLED = "cancelled"


class StreamingServicer:
    """Answers ``StreamPipeline``; every call has a session of its own."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def stream(self, _requests: AsyncIterator[pb.StreamRequest], context: Context) -> None:
        """Serve one client; one that leaves cancels this call and so its session."""
        call = StreamCall(self._admission, context)
        try:
            await call.serve()
        except asyncio.CancelledError:
            call.log_end()
            raise
        except PenstockError as exc:
            call.log.failed(exc)
            await call.end(exc, self._ending_of(exc))
        except Exception as exc:  # noqa: BLE001  # the last place that can log it and say so
            call.log.failed(exc)
            await call.end(PenstockError(UNFORESEEN.message), UNFORESEEN)
        finally:
            await call.stop()

    def _ending_of(self, error: PenstockError) -> Ending:
        if isinstance(error, EndingError):
            return error.ending
        is_ours = self._admission.stopping or isinstance(error, ServiceStoppingError)
        return STOPPING if is_ours else FINE


class StreamCall:
    """One call, from ``init`` to ``closed``; ``serve`` raises what has to be told instead."""

    def __init__(self, admission: Admission, context: Context) -> None:
        self.replies = Replies(context)
        self.log = CallLog(STREAM_PIPELINE.name, context.peer())
        limit_s = admission.settings.service.unread_secs
        self.patience = Patience(context, self.replies, limit_s)
        self._admission = admission
        self._context = context
        self._over = asyncio.Event()
        self._course = Course()
        self._first: Mapping[str, common.DataBuffer] = {}
        self._reading: asyncio.Task[None] | None = None
        self._failure: PenstockError | None = None
        self._cancelled = False
        self._unsent = 0

    async def serve(self) -> None:
        init = await self._read_init()
        self._first = init.data_inputs
        self._limits = CallLimits(init.resource_limits)
        admitted = self._admission.session(
            init.manifest,
            init.client_version,
            caller_of(self._context),
            on_progress=self.replies.progressed,
            on_interrupt=self._interrupted,
            max_memory_bytes=self._limits.memory_bytes,
        )
        del init  # nothing is kept of it for the length of the call
        async with admitted as session:
            self.log.session_id = session.session_id
            largest = session.plan.configuration.max_message_bytes
            self._feed = Feed(self._limits, self._admission.files, self.replies.codec, largest)
            self._passage = Passage(self._course, self._feed, self.replies)
            self._admission.courses[session] = self._course
            await self._converse(session)
            if self._failure is not None and not self._ended_by_client:
                await self.replies.undelivered(session, self._unsent)
                raise self._failure
            reason = CANCELLED if self._cancelled else COMPLETED
            await self.replies.closed(session, reason)

    def _interrupted(self, said: Interruption) -> None:
        """Tell of an interrupt, whoever asked; where it names the client, all input is stale."""
        if said.node_id is None:
            self._feed.give_up()
        self.replies.interrupted(said)

    def log_end(self) -> None:
        """Say that nobody is there any more to be told; or is there, and doesn't read."""
        if self.patience.lost:
            self.log.unread(self._failure)
        else:
            self.log.left()

    async def end(self, error: PenstockError, ending: Ending) -> None:
        """The last word of a call that failed: on the stream, and packed into its status.

        A session that was never admitted as the service stops is only refused: gRPC's clients
        try elsewhere by themselves, as long as no message has come. So is one whose first message
        hasn't come.
        """
        self.patience.begin(_at_once, lambda: error, self.log.session_id)
        details = status_details(error, self.log.session_id, ending.number, ending.message)
        self._context.set_trailing_metadata(details)
        with contextlib.suppress(SessionCancelledError):  # nobody is there to be told
            if not isinstance(error, ServiceStoppingError | SlowOpeningError):
                await self.replies.error(error)
            if ending is FINE:
                await self._hear_out()
        if ending is not FINE:
            await abort(self._context, ending)

    async def stop(self) -> None:
        """The call has come to its end."""
        await self.patience.end()
        self._context.at_once = None
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        self._reading = self._failure = None  # their tracebacks lead back here, and to all it had

    async def _hear_out(self) -> None:
        """Read what the client still writes, for a while.

        A client of gRPC that writes when its call has ended loses what it was sent, the error
        before all.
        """
        with contextlib.suppress(TimeoutError, InputError, EndingError):
            async with asyncio.timeout(HEAR_OUT_S):
                if self._reading is not None:
                    await asyncio.wait([self._reading])
                while await read_request(self._context) is not grpc.aio.EOF:
                    continue

    @property
    def _ended_by_client(self) -> bool:
        return self._cancelled and isinstance(self._failure, SessionCancelledError)

    async def _read_init(self) -> pb.StreamInit:
        request = await self._admission.opening.large.read(self._context)
        found = None if request is grpc.aio.EOF else request.message.WhichOneof("request")
        if found != "init":
            raise InitRequiredError(found or "nothing")
        self._course.advance()
        init: pb.StreamInit = request.message.init
        return init

    async def _converse(self, session: Session) -> None:
        """Run the session; returns when it and everything of it is gone, or its time is over.

        Who reads goes on, but nothing comes of it any more, until the call is stopped; those
        that write end by themselves.
        """
        self._reading = asyncio.create_task(self._guard(session, self._read))
        async with asyncio.TaskGroup() as group:
            taking = [group.create_task(_outcome(self._reading))]
            group.create_task(self._guard(session, lambda _: self.replies.forward_news()))
            try:
                await self._limits.bound(session, session.start())
                group.create_task(self._guard(session, self._limit))
                self.patience.begin(session.until_over, self._reason, session.session_id)
                group.create_task(self._guard(session, self._end_when_idle))
                await self.replies.ready(session)
                taking.append(group.create_task(self._guard(session, self._give_inputs)))
                group.create_task(self._guard(session, self._report))
                await group.create_task(self._give_results(session))
            except PenstockError as exc:
                self._fail(exc)
            finally:
                for task in taking:
                    task.cancel()
                self._over.set()
                self._passage.close()
                self.patience.begin(_at_once, self._reason, session.session_id)  # it never started
                self._unsent = self._feed.waiting
                self._feed.give_up()
                self.replies.finish()
                if not isinstance(self._failure, TimeOverError):
                    await session.aclose()

    async def _give_inputs(self, session: Session) -> None:
        """What came with ``init`` is let go of when it has been sent: it may be long."""
        await self._feed.begin(session, self._first)
        self._first = {}
        await self._feed.run(session)

    async def _give_results(self, session: Session) -> None:
        """Results as they come, in a task of its own: each wakes all that awaits it."""
        try:
            async for output in session.outputs(self._passage.give):
                await self.replies.result(output, self._feed.taken)
                self._feed.touch()
        except PenstockError as exc:
            self._fail_with(session, exc)

    def _reason(self) -> PenstockError:
        return self._failure or SessionClosedError("the session has ended")

    def _fail(self, error: PenstockError) -> None:
        """Keep the first failure: what follows is its consequence."""
        self._failure = self._failure or error

    def _fail_with(self, session: Session, error: PenstockError) -> None:
        """The same, and end the session, for which it is the reason if it had none."""
        self._fail(error)
        session.fail_nowait(error)

    async def _guard(self, session: Session, work: Callable[[Session], Awaitable[None]]) -> None:
        """A failure on the client's side of the session ends it, and then ``outputs`` too."""
        try:
            await work(session)
        except SessionClosedError:
            return  # it ended before its client did, as a pipeline of producers may
        except PenstockError as exc:
            self._fail_with(session, exc)

    async def _read(self, session: Session) -> None:
        """The client's messages, as far ahead as there is room.

        The session begins to start first, else what they ask of it would be lost.
        """
        await asyncio.sleep(0)
        self._context.at_once = self._passage.take
        while (request := await read_request(self._context)) is not grpc.aio.EOF:
            if not self._passage.take(request):
                await self._take(session, request)
        self._feed.end()

    async def _take(self, session: Session, request: Parted[pb.StreamRequest]) -> None:
        self._course.advance()
        chunk, message = chunk_of(request), request.message
        if chunk is not None and self._course.is_stale:
            self._feed.skip(chunk)
        elif chunk is not None:
            await self._feed.put(chunk, request.payload)
        elif message.WhichOneof("request") == "control":
            await self._obey(session, message.control)
        else:
            found = message.WhichOneof("request") or "nothing"
            raise InputError(f"expected a chunk or control, got {found}")

    async def _obey(self, session: Session, control: pb.StreamControl) -> None:
        match control.command:
            case pb.StreamControl.COMMAND_CLOSE:
                self._feed.end()
            case pb.StreamControl.COMMAND_CANCEL:
                self._cancelled = True
                await session.cancel("cancelled by the client")
            case pb.StreamControl.COMMAND_INTERRUPT if self._course.is_heeded:
                return  # it came beside the stream, and overtook this
            case pb.StreamControl.COMMAND_INTERRUPT:
                await session.interrupt(control.node_id or None)
            case command:
                expected = "CLOSE, CANCEL or INTERRUPT"
                raise InputError(f"control.command: expected {expected}, got {command}")

    async def _report(self, session: Session) -> None:
        """Metrics at a steady pace, while there is something to measure."""
        interval_s = self._admission.settings.service.metrics_interval_secs
        async for _ in steadily(interval_s, self._over):
            await self.replies.metrics(session, self._feed.waiting)

    async def _limit(self, session: Session) -> None:
        """The client's time limit, from its ``init`` on: nodes that start use it up too."""
        if not await comes_within(self._limits.left_s, self._over):
            self._fail_with(session, self._limits.timed_out())

    async def _end_when_idle(self, session: Session) -> None:
        """Nobody forgets a session for good; one whose inputs have ended is at its last work."""
        limit_s = self._admission.settings.service.session_idle_secs
        if limit_s is None:
            return
        self._feed.touch()
        while (left_s := self._feed.moved_at + limit_s - time.monotonic()) > 0:
            if await comes_within(left_s, self._over):
                return
        if not self._feed.ended:
            self._fail_with(session, SessionIdleError(limit_s=limit_s))


async def _outcome(task: asyncio.Task[None]) -> None:
    """Raise what a task raises; it goes on where this is cancelled."""
    await asyncio.shield(task)


async def _at_once() -> None:
    """There is no session, or it is over."""
