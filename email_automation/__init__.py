"""The engine every message passes through: who may be mailed, sending once, and the log of it."""
