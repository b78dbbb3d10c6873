"""Whole sessions, and what they cost: time in a chain, conversions, CPU time, memory."""
