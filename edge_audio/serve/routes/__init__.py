"""Routes: they translate between HTTP and `Studio`."""
