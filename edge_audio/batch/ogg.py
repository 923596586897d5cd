"""Ogg files that are the same each time: libsndfile draws a serial number for each."""

from __future__ import annotations

import functools
import struct


def with_serial(data: bytes, serial: int) -> bytes:
    """An Ogg file of one stream with another serial number (RFC 3533, section 6)."""
    pages, place = bytearray(data), 0
    while place < len(pages):
        segments = pages[place + 26]
        end = place + 27 + segments + sum(pages[place + 27 : place + 27 + segments])
        struct.pack_into("<I", pages, place + 14, serial)
        struct.pack_into("<I", pages, place + 22, 0)
        struct.pack_into("<I", pages, place + 22, _crc(pages[place:end]))
        place = end
    return bytes(pages)


def _crc(page: bytes | bytearray) -> int:
    """CRC-32 with polynomial 0x04c11db7, not reflected, from zero."""
    table, value = _table(), 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ table[(value >> 24) ^ byte]
    return value


@functools.lru_cache
def _table() -> tuple[int, ...]:
    def remainder(value: int) -> int:
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7) if value & 0x80000000 else value << 1
        return value & 0xFFFFFFFF

    return tuple(remainder(byte << 24) for byte in range(256))
