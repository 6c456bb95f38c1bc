"""Ground floor of Cadence: facts about courses and learners. Knows no message."""
