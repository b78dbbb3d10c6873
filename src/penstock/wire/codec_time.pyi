class CodecTime:
    decoding_s: float
    encoding_s: float
