"""ACE channels of our own, registered under the entry point `openedx.ace.channel`."""
