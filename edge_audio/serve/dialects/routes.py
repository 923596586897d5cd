"""The routers of all dialects that speak HTTP."""

from __future__ import annotations

from edge_audio.serve.dialects import elevenlabs, huggingface, openai, stability

ROUTERS = tuple(module.router for module in (elevenlabs, stability, openai, huggingface))
