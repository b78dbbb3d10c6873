from typing import Any

from penstock.service.course import Course
from penstock.service.feed import Feed
from penstock.service.news import News
from penstock.service.replies import Replies
from penstock.service.status import Context
from penstock.session import Output
from penstock.wire.codec_time import CodecTime
from penstock.wire.parted import Parted
from penstock.wire.v1 import streaming_pb2 as pb

class Results:
    _writers: int
    _refused: tuple[Output, bytes | Parted[pb.StreamResponse]] | None

    def __init__(self, context: Context) -> None: ...
    @property
    def codec(self) -> CodecTime: ...
    @property
    def _context(self) -> Context: ...
    @property
    def _news(self) -> News: ...
    def _encoded(self, output: Output, inputs_taken: int) -> bytes | Parted[pb.StreamResponse]: ...

class Passage:
    def __init__(self, course: Course, feed: Feed, replies: Replies) -> None: ...
    def take(self, request: Any) -> bool: ...
    def give(self, output: Output) -> bool: ...
    def close(self) -> None: ...
