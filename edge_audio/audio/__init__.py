"""Finished audio: clips, and the loudspeaker."""
