"""Who the administrators of an enterprise are: our own table, or the platform's answer with the table as its copy.

What leads outside (`fetch`, `fetch_each`) and what writes (`store`, `store_each`, `complete`) are apart, so that no
transaction waits for a server and a dry run can take its writing back.
"""

from .errors import DirectoryError
from .records import AdminRecord
from .refreshing import Failure, Fetched, Refreshed, fetch, fetch_each, refresh, store_each
from .rows import complete, forget_unlisted, save, store

__all__ = [
    "AdminRecord",
    "DirectoryError",
    "Failure",
    "Fetched",
    "Refreshed",
    "complete",
    "fetch",
    "fetch_each",
    "forget_unlisted",
    "refresh",
    "save",
    "store",
    "store_each",
]
