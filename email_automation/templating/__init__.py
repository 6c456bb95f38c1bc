"""Templates that people edit: a sandboxed engine, the check before saving, and the backend that sends them."""
