from penstock.wire.v1 import streaming_pb2 as pb

NEWS_BYTES: int

class News:
    def keep(self, news: pb.StreamResponse) -> None: ...
    def take(self) -> pb.StreamResponse | None: ...
