"""`send_course_update <site>`: the weekly course updates, for today and the days that were missed."""

from email_automation.management.base import MessageCommand


class Command(MessageCommand):
    """Mails the learners who have reached the end of a week of their schedule."""

    help = "Send the weekly course updates for one site. Meant to run daily."
    messages = ("courseupdate",)
