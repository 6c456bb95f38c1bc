"""Measurements, beside those of the peers on the same work: `make bench`. Needs PostgreSQL and Redis."""
