"""`send_recurring_nudge <site>`: the nudges of day 3 and day 10, for today and the days that were missed."""

from email_automation.management.base import MessageCommand


class Command(MessageCommand):
    """Mails the learners whose schedule began three or ten days ago."""

    help = "Send the nudges of day 3 and day 10 for one site. Meant to run daily."
    messages = ("recurringnudge_day3", "recurringnudge_day10")
