"""Tests of the event transport."""
