"""The pages of weekly goals."""
