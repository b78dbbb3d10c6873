"""Measures Penstock beside a floor and a peer, in the same run. ``python -m bench --help``."""
