"""Receivers that turn the public events of the platform into facts."""
