"""The folder that holds a model, and the manifest that describes it."""
