"""The mail of weekly goals."""
