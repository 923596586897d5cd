"""A model at work: its tokens, its stages, its codec."""
