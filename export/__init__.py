"""From an official-format checkpoint to a bundle of LiteRT graphs: on a workstation (extra
`export`), never on the device.
"""
