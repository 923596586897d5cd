"""How the pocket model is made."""
