# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A message to Mattermost, or to any other service that Apprise supports."""

from __future__ import annotations

import typing as t

from ...base.errors import LogArchiveError
from ...base.libraries import needed
from ..texts import cut
from .base import Receiver, ReceiverError, network_error, seconds_of, url_problems

if t.TYPE_CHECKING:
    from ...config.document import NotifyTarget
    from ..messages import Message

MATTERMOST_LIMIT = 16383
"""Characters of a post, by Mattermost's documentation."""
PICTOGRAMS = {"done": "\u2705", "warning": "\u26a0\ufe0f", "failed": "\u274c"}


def deliver(target: NotifyTarget, message: Message) -> None:
    """Send one message: tables to Mattermost; to other services lines of text in the colour of the state.

    Both are cut to the length that the service allows. No other service shows a table of text as one.
    """
    with needed("apprise", "notifications by chat"):
        import apprise
    from .apprise_log import capture

    log = capture()
    # Apprise must not search the disk for plugins, replace codes in the text, or show pictures from its own site.
    asset = apprise.AppriseAsset(
        app_id="log-archive", app_desc="log-archive", plugin_paths=[], interpret_emojis=False, image_url_mask=None, image_url_logo=None
    )
    try:
        service = apprise.Apprise.instantiate(apprise_url(t.cast(str, target["url"])), asset=asset)
        if service is None:
            raise ReceiverError("Apprise supports no service with this URL", retryable=False)
        service.socket_connect_timeout = service.socket_read_timeout = seconds_of(target)
        if target["ca_bundle"]:
            # Apprise passes this to requests, which takes a path instead of True as the CA bundle.
            service.verify_certificate = t.cast(t.Any, target["ca_bundle"])
        if service.secure_protocol == "mmosts":
            sent = service.notify(body=message.markdown(MATTERMOST_LIMIT))
        else:
            title = "%s %s" % (PICTOGRAMS[message.state], message.subject)
            body = cut(message.lines(), service.body_maxlen - len(title) - 2)
            kinds = {"done": apprise.NotifyType.SUCCESS, "warning": apprise.NotifyType.WARNING, "failed": apprise.NotifyType.FAILURE}
            sent = service.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT, notify_type=kinds[message.state])
    except LogArchiveError:
        raise
    except Exception as error:
        # The text of an exception of one of its many services may contain the URL.
        raise network_error(error) or ReceiverError("Apprise failed (%s)" % type(error).__name__) from None
    if not sent:
        raise log.reason()


def apprise_url(url: str) -> str:
    """The URL for Apprise: an incoming webhook of Mattermost in Apprise's notation, any other URL unchanged."""
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(url)
    folder, _slash, token = parts.path.rstrip("/").rpartition("/")
    if parts.scheme not in ("http", "https") or not folder.endswith("/hooks"):
        return url
    scheme = "mmosts" if parts.scheme == "https" else "mmost"
    return urlunsplit((scheme, parts.netloc, "%s/%s" % (folder[: -len("/hooks")], token), parts.query, ""))


def problems(target: NotifyTarget, _log: t.Optional[str]) -> t.List[str]:
    """See ``receivers.problems``."""
    return url_problems(target["url"])


RECEIVER = Receiver(deliver, problems, default_when=("failure", "recovery"))
