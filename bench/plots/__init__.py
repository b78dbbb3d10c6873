"""Plots of what was measured, as SVG, without a library: lines over one axis, and a legend."""
