"""Penstock: media and AI pipelines from a manifest, each node on the executor that suits it."""
