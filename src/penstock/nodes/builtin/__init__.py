"""The nodes that come with Penstock, one file each; ``BUILTIN`` says where each one is."""

BUILTIN = {
    "AudioChunkerNode": "penstock.nodes.builtin.audio_chunker:AudioChunker",
    "AudioOutputNode": "penstock.nodes.builtin.audio_output:AudioOutput",
    "CalculatorNode": "penstock.nodes.builtin.calculator:Calculator",
    "CommandReplyNode": "penstock.nodes.builtin.command_reply:CommandReply",
    "EchoNode": "penstock.nodes.builtin.echo:Echo",
    "EspeakNode": "penstock.nodes.builtin.espeak:Espeak",
    "PassThrough": "penstock.nodes.builtin.pass_through:PassThrough",
    "PocketSphinxNode": "penstock.nodes.builtin.pocket_sphinx:PocketSphinx",
    "SileroVADNode": "penstock.nodes.builtin.silero_vad:SileroVad",
}
