"""From an official-format checkpoint to a bundle of LiteRT graphs: on a workstation (extra
`export`), never on the device.

This folder is `edge_audio.exporter` in the package, a link in a clone, and its modules import each
other relatively: a process that uses one of the two names has one copy of each.
"""
