"""Messages of `remotemedia.v1`, made by tools/generate_proto.py; only pool.py is by hand."""
