"""The API of requests: JSON in and out, errors of one shape. `schema.py` describes it to machines."""
