"""Tells people that a run is over. A message that cannot be sent is logged and never fails the loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import structlog
from pydantic import SecretStr

from streetvision_core.registry.age import AgeNotice, record_notice, said_before
from streetvision_core.registry.versions import Registry

logger = structlog.get_logger(__name__)

Kind = Literal["info", "success", "warning", "failure"]


def notify(urls: Sequence[str | SecretStr], title: str, body: str, kind: Kind = "info") -> bool:
    """Sends a message through apprise.

    Args:
        urls: apprise URLs (`settings.loop.notify_urls`), e.g. `discord://…`, `mailto://…`; they hold secrets and are
            never logged.
        title: one line.
        body: plain text.
        kind: its colour where the receiver has colours.

    Returns:
        Whether every receiver took it; True when there is none.
    """
    if not urls:
        return True
    sent = [_send(url if isinstance(url, str) else url.get_secret_value(), title, body, kind) for url in urls]
    logger.info("notified", receivers=len(urls), sent=sum(sent))
    return all(sent)


def notify_age(urls: Sequence[str | SecretStr], registry: Registry, notice: AgeNotice) -> bool:
    """Sends the age of the serving version, once for each day of the list.

    Returns:
        Whether it was sent; False where this day was said before, or a receiver did not take it, which is tried again
        at the next call.
    """
    if said_before(registry, notice) or not notify(urls, "StreetVision: age of the model", notice.text, "warning"):
        return False
    return record_notice(registry, notice)


def _send(url: str, title: str, body: str, kind: Kind) -> bool:
    service = url.split(":", 1)[0][:20]
    try:
        import apprise

        receiver = apprise.Apprise()
        if not receiver.add(url):
            logger.warning("notify_failed", service=service, reason="apprise does not know such a URL")
            return False
        sent = bool(receiver.notify(body=body, title=title, notify_type=kind, body_format=apprise.NotifyFormat.TEXT))
    except Exception as error:  # a plug-in's bug must not undo a night's work
        logger.warning("notify_failed", service=service, reason=type(error).__name__)
        return False
    if not sent:
        logger.warning("notify_failed", service=service, reason="the service refused it or could not be reached")
    return sent
