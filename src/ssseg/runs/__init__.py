"""A run's folder: what is in it, and how it is read and written."""
