"""Noise, noise levels, samplers and guidance: pure numpy that knows no model."""
