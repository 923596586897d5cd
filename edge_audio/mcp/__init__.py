"""`edge-audio mcp` (extra `mcp`): tools for assistants that make and change sounds in a folder."""
