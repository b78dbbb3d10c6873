"""The multiprocess executor: each node in a Python process of its own."""
