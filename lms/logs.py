"""How the project writes its log."""

import logging


class OneLineFormatter(logging.Formatter):
    """Keep one record on one line, so that neither a traceback nor a value with a line break forges records."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record with its line breaks written as escapes."""
        return super().format(record).replace("\r", "\\r").replace("\n", "\\n")


def unless_push(record: logging.LogRecord) -> bool:
    """Drop ACE's complaint that its push channel, which needs an app we do not install, cannot be loaded."""
    return "'push_notification'" not in record.getMessage()
