"""What a message is, and the register of all of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from django.apps import apps
from django.utils.module_loading import module_has_submodule
from edx_ace.message import MessageType as AceMessageType

from .. import words
from .outcome import retry_delay
from .run import Run

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    from ..links import SiteLinks
    from ..models import EmailLog
    from .resolver import Draft, Resolver

Stage = Literal["enqueue", "deliver"]


@dataclass(frozen=True)
class Beat:
    """When a message runs by itself: a crontab of five fields, and the zone it is read in (blank: the site's)."""

    crontab: str
    zone: str = "UTC"


class MessageType(AceMessageType):  # type: ignore[misc]  # edx_ace has no type information
    """One kind of mail. A message is a subclass in some app's `messages/` package, decorated with `@register`.

    Class attributes are its whole configuration; the methods are asked by the engine and may be overridden.
    """

    NAME: ClassVar[str]
    title: ClassVar[str]
    category: ClassVar[str]
    resolver: ClassVar[type[Resolver]]
    transactional: ClassVar[bool] = False
    priority: ClassVar[int] = words.NORMAL
    #: How often a mail whose outcome is not known is sent again: 0 never twice, 1 rather twice than not at all.
    resend_unknown: ClassVar[int] = 0
    #: How long a worker may hold a mail before others think it dead.
    lease: ClassVar[timedelta] = timedelta(seconds=300)
    #: Days after the run day on which the mail still makes sense; also how far back missed days are caught up.
    max_lateness: ClassVar[int] = 0
    max_attempts: ClassVar[int] = 8
    #: Whether an outage leaves a mail half of its attempts; if not, it uses them up like any other failure.
    patient: ClassVar[bool] = True
    #: Whether a channel that takes several mails in one call is given several of them, or each by itself.
    goes_together: ClassVar[bool] = False
    beat: ClassVar[Beat | None] = None
    #: What its drafts put into `shared` and `personal`: every name with an example, which is what editors of templates
    #: see and what their templates are tried with. A list has at least one element, a dict every key.
    variables: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def label(cls) -> str:
        """Return `<app label>.<name>`, the name by which commands, tasks and the admin call the message."""
        return f"{cls.owner()}.{cls.NAME}"

    @classmethod
    def owner(cls) -> str:
        """Return the label of the app the message belongs to."""
        return _owner(cls.__module__)

    @classmethod
    def queue(cls) -> str:
        """Return the Celery queue that delivers it."""
        return words.TRANSACTIONAL_QUEUE if cls.transactional else words.LIFECYCLE_QUEUE

    @classmethod
    def starting(cls, site_id: int, *, day: date | None = None) -> Run:
        """Return a run of this message that the clock starts: today's as of now, or a given day's as of its start."""
        return Run.starting(cls.label(), site_id, day=day, zone=cls.zone(site_id))

    @classmethod
    def zone(cls, site_id: int) -> tzinfo:
        """Return the zone that days and hours of this message are read in."""
        return UTC

    @classmethod
    def prepare(cls, run: Run) -> None:
        """Write what the app keeps of a run, before its audience is read; not for dry and test runs."""

    @classmethod
    def slot(cls, run: Run) -> str:
        """Return the name under which a run is remembered, by default its day; '' for one that is not."""
        return run.day.isoformat()

    @classmethod
    def expiry(cls, run: Run) -> datetime:
        """Return the moment, on the run's own clock, after which the mail must not go out any more."""
        return datetime.combine(run.day + timedelta(days=cls.max_lateness + 1), time(), tzinfo=UTC)

    @classmethod
    def gate(cls, run: Run, stage: Stage) -> bool:
        """Return whether the message may be planned (`enqueue`) or handed off (`deliver`) at all."""
        return True

    @classmethod
    def disabled(cls, account: AbstractBaseUser) -> bool:
        """Return whether an account counts as switched off for this message."""
        return not account.is_active

    @classmethod
    def asks_whole_accounts(cls) -> bool:
        """Return whether `disabled` is overridden, so that for other messages only a few columns are read."""
        return _is_overridden(cls.disabled, MessageType.disabled)

    @classmethod
    def stopped(cls, run: Run, drafts: Sequence[Draft]) -> set[int]:
        """Return the target ids among `drafts` that must not be handed off now; asked once per slice."""
        return set() if cls.gate(run, "deliver") else {draft.target_id for draft in drafts}

    @classmethod
    def on_claim(cls, run: Run, rows: Sequence[EmailLog]) -> Iterable[EmailLog]:
        """Return the freshly claimed rows the app accepts, inside the claim's transaction; the rest is undone."""
        return rows

    @classmethod
    def on_finish(cls, rows: Sequence[EmailLog]) -> None:
        """Follow outcomes, inside the ledger's own transaction.

        A mail that was told as a doubt or a failure may be told again, as handed off, once a provider's report has
        settled it. Its status is then what the report says, one of `words.HANDED_OFF`.
        """

    @classmethod
    def retry_delay(cls, attempts: int) -> timedelta:
        """Return how long to wait after so many attempts, at least."""
        return retry_delay(attempts)

    @classmethod
    def channel(cls) -> str:
        """Return the name of the ACE channel that takes its mails, '' for the ordinary one."""
        return ""

    @classmethod
    def campaign(cls, draft: Draft) -> str:
        """Return under which name a service that keeps the text itself knows this mail."""
        return cls.NAME

    @classmethod
    def called(cls, given: Mapping[str, Any], links: SiteLinks) -> dict[str, Any]:
        """Return the declared variables that follow from what a caller has `given`, for mails sent by a call.

        A declared variable that neither the caller nor this gives makes the mail a skip, `incomplete:<name>`.
        """
        return {}

    @classmethod
    def wants_on_finish(cls) -> bool:
        """Return whether `on_finish` is overridden, so that messages without it pay nothing for it."""
        return _is_overridden(cls.on_finish, MessageType.on_finish)

    @classmethod
    def headers(cls, draft: Draft) -> dict[str, str]:
        """Return extra mail headers; an own `List-Unsubscribe` takes the place of the engine's."""
        return {}


def _is_overridden(method: Callable[..., Any], ours: Callable[..., Any]) -> bool:
    """Tell whether a message's method is another than ours, which is a class method."""
    return getattr(method, "__func__", None) is not getattr(ours, "__func__", None)


@cache
def _owner(module: str) -> str:
    # Asked several times for each mail, and Django compares the name with every app's.
    config = apps.get_containing_app_config(module)
    if config is None:
        raise LookupError(f"{module} belongs to no installed app.")
    return config.label


_messages: dict[str, type[MessageType]] = {}
_Message = TypeVar("_Message", bound=type[MessageType])


def register(message: _Message) -> _Message:
    """Class decorator: make a message known. Raises ValueError when its NAME is taken or its category unknown."""
    other = _messages.get(message.NAME)
    if other is not None and (other.__module__, other.__qualname__) != (message.__module__, message.__qualname__):
        raise ValueError(f"Message name {message.NAME!r} is taken by {other.__module__}.{other.__qualname__}.")
    if message.category not in words.CATEGORIES:
        raise ValueError(f"{message.NAME}: category must be one of {', '.join(words.CATEGORIES)}.")
    _messages[message.NAME] = message
    return message


def get(name: str) -> type[MessageType]:
    """Return a message by its name or by `<app label>.<name>`. Raises ValueError that lists what is allowed."""
    label, _, bare = name.rpartition(".")
    message = _messages.get(bare)
    if message is None or (label and message.owner() != label):
        allowed = ", ".join(sorted(known.label() for known in _messages.values())) or "none"
        raise ValueError(f"message: {name!r} is not a registered message; allowed: {allowed}.")
    return message


def all_messages() -> Iterator[type[MessageType]]:
    """Yield every registered message, in the order of their labels."""
    yield from sorted(_messages.values(), key=lambda message: message.label())


def autodiscover() -> None:
    """Import every module of every installed app's `messages` package."""
    for config in apps.get_app_configs():
        if not module_has_submodule(config.module, "messages"):
            continue
        package: Any = importlib.import_module(f"{config.name}.messages")
        for module in pkgutil.iter_modules(getattr(package, "__path__", [])):
            # Django's own contrib.messages is an app, not a package of messages; it registers nothing.
            importlib.import_module(f"{package.__name__}.{module.name}")
