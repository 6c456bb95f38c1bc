"""The API of weekly goals: JSON in and out, errors of one shape. `schema.py` describes it to machines."""
