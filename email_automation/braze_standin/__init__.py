"""A server that plays Braze's endpoint for campaigns on this machine, as strict as the original; it shows what came."""
