"""The version of the package, which recipes carry."""

__version__ = "0.1.0"
