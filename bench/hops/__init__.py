"""One hop between two places: Penstock's, a bare one, and those of peers.

Every contender is a rig: a source that writes and sends payloads when it is ordered to, and a
target that says when they arrived. Rigs of one hop stand side by side and take turns.
"""
