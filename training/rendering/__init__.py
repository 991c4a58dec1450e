"""Rendering of simulated people: face model, appearance and drawing kernels."""
