"""Which training images are labeled: by count, fraction, class or list, with a content hash."""
