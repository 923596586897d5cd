"""What a model costs, and how good it is: `edge-audio bench`."""
