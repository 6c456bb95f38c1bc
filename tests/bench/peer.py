"""The peer: plain edx-ace with its `django_email` channel, one Celery task per message, as its own users run it.

The same templates, context and learners; whole messages in the broker, no ledger.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.bench.settings")
django.setup()

# E402 below: what needs models can be imported only now.
from celery import Celery  # noqa: E402
from django.conf import settings  # noqa: E402
from django.contrib.sites.models import Site  # noqa: E402
from edx_ace import ace  # noqa: E402
from edx_ace.message import Message  # noqa: E402
from edx_ace.recipient import Recipient  # noqa: E402

from courses import sites  # noqa: E402
from courses.bulk import slices  # noqa: E402
from email_automation import consent, workers  # noqa: E402
from email_automation.pipeline import message, policy  # noqa: E402
from email_automation.pipeline.run import Run  # noqa: E402

from .places import PEER_BROKER  # noqa: E402

DAY = date(2026, 3, 1)
app = Celery("peer", broker=PEER_BROKER)
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
# These workers, too, keep their connections and have the collector leave alone what they have loaded.
workers.install(app)


@app.task(name="peer.send")
def send(text: str) -> None:
    """Send one message that came through the broker."""
    ace.send(Message.from_string(text))


def send_all() -> None:
    """Make every due learner's message and a task for it."""
    # By its address: the environment names the broker of the other design.
    with app.connection_for_write(PEER_BROKER) as connection:
        producer = connection.Producer(auto_declare=False)
        for letter in messages():
            send.apply_async(args=[str(letter)], producer=producer)


def messages() -> Iterator[Message]:
    """Yield every due learner's message."""
    kind = message.get("recurringnudge_day3")
    run = Run.starting(kind.label(), settings.SITE_ID, day=DAY)
    resolver, brand = kind.resolver(), sites.brand(Site.objects.get(pk=settings.SITE_ID))
    targets = [row.target_id for page in resolver.audience(run) for row in page]
    for batch in slices(targets, 500):
        drafts = resolver.drafts(run, batch)
        people, _ = policy.refusals(kind, drafts)
        for draft in drafts:
            person = people[draft.target_id]
            context: dict[str, Any] = {
                **draft.shared,
                "user": person.names,
                "brand": dict(brand),
                "site_name": brand["name"],
                "site_url": brand["url"],
                "unsubscribe_url": consent.unsubscribe_url(brand["url"], draft.user_id, kind.category, {}),
                "preferences_url": consent.preferences_url(brand["url"], draft.user_id),
                "language": draft.language,
                "direction": "ltr",
                "is_test": False,
            }
            letter = kind().personalize(Recipient(draft.user_id, person.address), draft.language, context)
            letter.options = {"override_default_channel": "django_email"}
            yield letter
