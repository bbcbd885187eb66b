# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mail, as text and HTML: over the host's own mail system or over an SMTP server.

By Python's own library and not by Apprise, which knows no sendmail and no CA bundle of a recipient's own, makes the text of a mail out of
its HTML, and does not tell why a server refused.
"""

from __future__ import annotations

import contextlib
import os
import smtplib
import socket
import typing as t

from ...base.units import parse_size
from . import addresses
from .base import News, ReceiverError, cause, seconds_of, tls_context

if t.TYPE_CHECKING:
    from email.message import EmailMessage

PORTS = {"starttls": 587, "tls": 465, "none": 25}
SENDMAIL_FOLDERS = ("/usr/sbin", "/usr/lib", "/sbin")
RATIO = 10
"""A log is at least this many times as large as it is compressed, mostly; so much of its end is tried to be attached."""


def deliver(target: t.Mapping[str, t.Any], news: News) -> None:
    """Send one mail to all recipients. Where some were refused, the rest of the error names them."""
    message = compose(target, news)
    if target["server"]:
        _over_smtp(target, message, target["server"], target["tls"] or "starttls")
        return
    program = _sendmail()
    if program is not None:
        _over_program(target, message, program)
    else:
        _over_smtp(target, message, "localhost", "none")


def compose(target: t.Mapping[str, t.Any], news: News) -> EmailMessage:
    """The mail itself."""
    from email.message import EmailMessage
    from email.utils import format_datetime, localtime, make_msgid

    message = EmailMessage()
    message["Subject"] = news.subject
    message["From"] = addresses.of(_sender(target))
    message["To"] = [addresses.of(address) for address in target["to"]]
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = make_msgid(domain=message["From"].addresses[0].domain or None)
    # No answer of an absent person's mailbox is wanted (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    # Lines of any length, on servers of any age.
    message.set_content(news.text(), cte="quoted-printable")
    message.add_alternative(news.html(), subtype="html", cte="quoted-printable")
    if target["attach_log"] and news.log is not None:
        data = end_of(news.log, parse_size(target["attach_limit"]))
        if data is not None:
            name = os.path.basename(news.log) + ".gz"
            message.add_attachment(data, maintype="application", subtype="gzip", filename=name)
    return message


def _sender(target: t.Mapping[str, t.Any]) -> str:
    return target["from"] or "Log archive <log-archive@%s>" % socket.gethostname()


def end_of(path: str, limit: int) -> t.Optional[bytes]:
    """The last lines of a file, as many as are no larger than ``limit`` when compressed, compressed; None where there is none."""
    import gzip

    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            wanted = min(size, limit * RATIO)
            while wanted > 0:
                file.seek(size - wanted)
                data = file.read(wanted)
                if wanted < size:
                    # Where it was cut there is half a line.
                    data = data.partition(b"\n")[2]
                packed = gzip.compress(data, mtime=0)
                if len(packed) <= limit:
                    return packed if data else None
                wanted = wanted * limit // len(packed) * 9 // 10
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReceiverError("%s cannot be attached (%s)" % (path, error.strerror), retryable=False) from error
    return None


# -- the host's own mail system ---------------------------------------------------------------------------------------


def _sendmail() -> t.Optional[str]:
    """cron's PATH has no sbin, where sendmail is."""
    import shutil

    return shutil.which("sendmail", path=os.pathsep.join([os.environ.get("PATH", os.defpath), *SENDMAIL_FOLDERS]))


def _over_program(target: t.Mapping[str, t.Any], message: EmailMessage, program: str) -> None:
    import subprocess

    sender, recipients = _envelope(target)
    command = [program, "-i", "-f", sender, "--", *recipients]
    try:
        done = subprocess.run(command, input=message.as_bytes(), capture_output=True, timeout=seconds_of(target), check=False)
    except subprocess.TimeoutExpired:
        raise ReceiverError("%s did not end in time" % program) from None
    except OSError as error:
        raise ReceiverError("%s cannot be run (%s)" % (program, error.strerror)) from error
    if done.returncode != 0:
        said = _shown((done.stderr or done.stdout).strip(), None)
        raise ReceiverError("%s ended with %d (%s)" % (program, done.returncode, said or "it said nothing"))


# -- an SMTP server ---------------------------------------------------------------------------------------------------


def _over_smtp(target: t.Mapping[str, t.Any], message: EmailMessage, server: str, tls: str) -> None:
    sender, recipients = _envelope(target)
    smtp: t.Optional[smtplib.SMTP] = None
    try:
        smtp = _connected(target, server, tls)
        refused = smtp.send_message(message, sender, recipients)
        # Whatever becomes of the farewell: the server has the mail.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            smtp.quit()
    except (OSError, smtplib.SMTPException) as error:
        raise _told(error, target) from None
    finally:
        if smtp is not None:
            smtp.close()
    if refused:
        raise _refused(refused, target)


def _connected(target: t.Mapping[str, t.Any], server: str, tls: str) -> smtplib.SMTP:
    port = target["port"] or PORTS[tls]
    if tls == "tls":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(server, port, timeout=seconds_of(target), context=tls_context(target["ca_bundle"]))
    else:
        smtp = smtplib.SMTP(server, port, timeout=seconds_of(target))
    try:
        if tls == "starttls":
            smtp.starttls(context=tls_context(target["ca_bundle"]))
        if target["user"]:
            smtp.login(target["user"], target["password"])
    except BaseException:
        smtp.close()
        raise
    return smtp


def _envelope(target: t.Mapping[str, t.Any]) -> t.Tuple[str, t.List[str]]:
    """The bare addresses of the sender and the recipients."""
    return _bare(_sender(target)), [_bare(address) for address in target["to"]]


def _bare(text: str) -> str:
    address = addresses.of(text)
    return address.addr_spec if address.domain else address.username


def _told(error: Exception, target: t.Mapping[str, t.Any]) -> ReceiverError:
    """Why the server did not take it, told apart."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        # Its text is left out: there are servers that repeat what they were sent.
        return ReceiverError("the server refuses the login (%d)" % error.smtp_code, retryable=error.smtp_code < 500)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        missing = "login" if "AUTH" in str(error) else "STARTTLS" if "STARTTLS" in str(error) else "such addresses"
        return ReceiverError("the server offers no %s" % missing, retryable=False)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _refused(error.recipients, target)
    if isinstance(error, smtplib.SMTPResponseException):
        said = _shown(error.smtp_error, target["password"])
        return ReceiverError("the server refuses it (%d %s)" % (error.smtp_code, said), retryable=error.smtp_code < 500)
    if isinstance(error, smtplib.SMTPServerDisconnected):
        # Also where it did not answer: the library then says no more than this.
        return cause(error) or ReceiverError("the server closed the connection")
    return cause(error) or ReceiverError("it was not sent (%s)" % type(error).__name__)


def _refused(refused: t.Mapping[str, t.Tuple[int, bytes]], target: t.Mapping[str, t.Any]) -> ReceiverError:
    named = ", ".join("%s (%d %s)" % (name, code, _shown(said, target["password"])) for name, (code, said) in sorted(refused.items()))
    left = [address for address in target["to"] if _bare(address) in refused]
    retryable = any(code < 500 for code, _said in refused.values())
    return ReceiverError("the server refuses %s" % named, retryable, dict(target, to=left))


def _shown(said: t.Union[bytes, str], secret: t.Optional[str]) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    if secret and secret in text:
        return "its answer holds the password"
    return "".join(character if character.isprintable() else " " for character in text)[:300]
