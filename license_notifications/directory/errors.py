"""What goes wrong with a directory."""


class DirectoryError(Exception):
    """The directory gave no complete answer about an enterprise. The text names no person and no secret."""
