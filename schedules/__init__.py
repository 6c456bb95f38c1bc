"""Mail at fixed points of a learner's own progress through a self-paced course."""
