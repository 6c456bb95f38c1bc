"""`send_upgrade_reminder <site>`: the upgrade reminders, for today and the days that were missed."""

from email_automation.management.base import MessageCommand


class Command(MessageCommand):
    """Mails the learners who can upgrade for two more days."""

    help = "Send the upgrade reminders for one site. Meant to run daily."
    messages = ("upgradereminder",)
