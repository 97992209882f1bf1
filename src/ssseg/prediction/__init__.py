"""Trained networks, ready to use."""
