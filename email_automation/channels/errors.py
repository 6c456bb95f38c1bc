"""What a channel may say of a hand-off that did not end well, finer than ACE's own two errors."""

from __future__ import annotations

from datetime import datetime

from edx_ace.errors import FatalChannelDeliveryError, RecoverableChannelDeliveryError


class TryAgain(RecoverableChannelDeliveryError):  # type: ignore[misc]  # edx_ace has no type information
    """The provider did not take this one mail now; it may take it later."""


class RequestRefused(FatalChannelDeliveryError):  # type: ignore[misc]  # as above
    """The provider refuses what we asked of it, whoever the recipient is."""


class DeliveryInDoubt(FatalChannelDeliveryError):  # type: ignore[misc]  # as above
    """The connection broke after the whole mail was handed over and before the answer: it may have been accepted."""


class ProviderUnreachable(RecoverableChannelDeliveryError):  # type: ignore[misc]  # as above
    """The provider cannot be talked to at all; the next mail would meet the same.

    `ours` says that the settings look wrong (a refused login, say), not that the provider is down.
    """

    def __init__(self, message: str, next_attempt_time: datetime, *, ours: bool = False) -> None:
        super().__init__(message, next_attempt_time)
        self.ours = ours


class RecipientRefused(FatalChannelDeliveryError):  # type: ignore[misc]  # as above
    """The provider refuses this one recipient or this one mail for good; nothing is wrong on our side.

    `hard_bounce` says that the address cannot be mailed at all, whatever the mail.
    """

    def __init__(self, message: str, *, hard_bounce: bool = False) -> None:
        super().__init__(message)
        self.hard_bounce = hard_bounce


class RateLimited(TryAgain):
    """The provider takes nothing more from us before `next_attempt_time`, which is near enough to wait for."""


class LimitedTooLong(FatalChannelDeliveryError):  # type: ignore[misc]  # edx_ace has no type information
    """The provider takes nothing more from us for longer than we wait; nothing went out."""
