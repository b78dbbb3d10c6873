"""What can carry payloads between two processes: the floor, and what Python offers otherwise.

Each module has one transport; a package that it needs is imported when it is used, in the
processes of the hop, and may be missing.
"""
