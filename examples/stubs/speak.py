"""Text to speech with generated stubs alone, as a program in any language would do it.

``init``, one text and CLOSE are sent at once; every piece of sound comes before ``closed``::

    python -m grpc_tools.protoc -I proto --python_out=examples/stubs \
        --grpc_python_out=examples/stubs common.proto execution.proto streaming.proto control.proto
    python examples/stubs/speak.py 127.0.0.1:50051 "Hello from Penstock." hello.wav
"""

from __future__ import annotations

import sys
import wave

import common_pb2 as common
import execution_pb2 as execution
import grpc
import streaming_pb2 as streaming
import streaming_pb2_grpc as services

MANIFEST = execution.PipelineManifest(
    version="v1",
    nodes=[
        execution.NodeManifest(id="tts", node_type="EspeakNode", params='{"voice": "en-us"}'),
        execution.NodeManifest(
            id="speaker", node_type="AudioOutputNode", params='{"format": "I16"}'
        ),
    ],
    connections=[execution.Connection(**{"from": "tts", "to": "speaker"})],
)


def requests(text: str) -> list[streaming.StreamRequest]:
    """All that there is to say."""
    buffer = common.DataBuffer(text=common.TextBuffer(text_data=text.encode(), encoding="utf-8"))
    control = streaming.StreamControl(command=streaming.StreamControl.COMMAND_CLOSE)
    return [
        streaming.StreamRequest(init=streaming.StreamInit(manifest=MANIFEST)),
        streaming.StreamRequest(data_chunk=streaming.DataChunk(node_id="tts", buffer=buffer)),
        streaming.StreamRequest(control=control),
    ]


def main(target: str, text: str, path: str) -> int:
    """Write what is spoken to a WAV file; 1 where the service reports an error."""
    pieces = []
    with grpc.insecure_channel(target) as channel:
        stub = services.StreamingPipelineServiceStub(channel)
        for response in stub.StreamPipeline(iter(requests(text))):
            match response.WhichOneof("response"):
                case "result":
                    pieces.append(response.result.data_outputs["speaker"].audio)
                case "error":
                    print(response.error.message, file=sys.stderr)
                    return 1
                case "closed":
                    print(f"{response.closed.reason}: {len(pieces)} pieces")
    with wave.open(path, "wb") as sound:
        sound.setparams((pieces[0].channels, 2, pieces[0].sample_rate, 0, "NONE", ""))
        sound.writeframes(b"".join(piece.samples for piece in pieces))
    print(f"{path}: {sum(piece.num_samples for piece in pieces) / pieces[0].sample_rate:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
