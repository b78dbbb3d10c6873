"""Peers that bring processes of their own: dora-rs and Ray, each run as its users run it.

All of a framework's processes stand below a keeper, which ends them and clears away what they
leave behind.
"""
