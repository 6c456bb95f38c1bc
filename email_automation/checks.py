"""System checks of the engine: misconfiguration is told at start-up, with what to do about it."""
