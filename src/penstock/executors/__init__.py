"""What runs nodes: one protocol, and an executor for each ``ExecutorType``."""
