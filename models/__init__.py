"""Models made in this repository."""
