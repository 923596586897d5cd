"""Sounds by the thousand: a list of prompts becomes a folder of sounds, on one computer or a
cluster (extra `batch`).

list (`rows`, `templates`) → plan, checked and on disk (`plan`) → units made by workers (`run`,
`worker`, `ray`), each recorded (`journal`) → metadata, shards and a report (`write`, `report`).
"""
