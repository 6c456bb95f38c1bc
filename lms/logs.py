"""How the project writes its log."""

import logging


class OneLineFormatter(logging.Formatter):
    """Keep one record on one line, so that neither a traceback nor a value with a line break forges records."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record with its line breaks written as escapes."""
        return super().format(record).replace("\r", "\\r").replace("\n", "\\n")
