"""Dialects: what clients of other services say, translated for `Studio` and answered in their own
shape. A dialect translates and clamps; it says in a header what it changed.

To add one: a module with a router, its place in `dialects/routes.py`, and how it tells errors in
`dialects/shapes.py`.
"""
