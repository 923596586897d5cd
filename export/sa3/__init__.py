"""Stable Audio 3 small: T5Gemma, a diffusion transformer with memory tokens and adaLN, SAME-S."""
