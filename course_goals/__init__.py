"""Weekly learning goals: how many days a week somebody wants to study, and the mail when it gets tight."""
