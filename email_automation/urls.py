"""Addresses of the engine's pages, below /email/."""

from django.urls import path

from .views.braze import braze
from .views.outbox import mail, mail_html, outbox
from .views.preferences import own_preferences, preferences
from .views.unsubscribe import test_mail, unsubscribe
from .webhooks import receive

app_name = "email_automation"
urlpatterns = [
    path("unsubscribe/<str:token>/", unsubscribe, name="unsubscribe"),
    path("preferences/", own_preferences, name="own-preferences"),
    path("preferences/<str:token>/", preferences, name="preferences"),
    path("test-mail/", test_mail, name="test-mail"),
    path("webhooks/<path:address>", receive, name="webhooks"),
    path("outbox/", outbox, name="outbox"),
    path("outbox/braze/", braze, name="outbox-braze"),
    path("outbox/<int:log_id>/", mail, name="outbox-mail"),
    path("outbox/<int:log_id>/html/", mail_html, name="outbox-html"),
]
