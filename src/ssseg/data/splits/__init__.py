"""The choice of the labeled training images: by count, fraction, class or list."""
