"""The mails to administrators."""
