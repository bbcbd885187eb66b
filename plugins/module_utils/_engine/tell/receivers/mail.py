# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mail, as text and HTML: over the mail system of the host or over an SMTP server.

With Python's own library and not with Apprise, which has no sendmail and no CA bundle per recipient, makes the text of a mail from its
HTML, and does not report why a server refused.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ...base.errors import LogArchiveError
from ...base.lists import some
from . import addresses
from .base import Receiver, ReceiverError, network_error, seconds_of

if t.TYPE_CHECKING:
    import smtplib
    from email.message import EmailMessage

    from ...config.document import NotifyTarget
    from ..messages import Message

PORTS = {"starttls": 587, "tls": 465, "none": 25}
SENDMAIL_FOLDERS = ("/usr/sbin", "/usr/lib", "/sbin")
RATIO = 10
"""A log compresses at least this well, usually. The attachment is tried with this many times its limit of the end of the log."""


def deliver(target: NotifyTarget, message: Message) -> None:
    """Send one mail to all recipients. If some were refused, ``rest`` of the error has only these."""
    mail = compose(target, message)
    if target["server"]:
        _send_over_smtp(target, mail, target["server"], target["tls"] or "starttls")
        return
    program = _sendmail()
    if program is not None:
        _send_with_program(target, mail, program)
    else:
        _send_over_smtp(target, mail, "localhost", "none")


def compose(target: NotifyTarget, message: Message) -> EmailMessage:
    """The mail itself."""
    from email.message import EmailMessage
    from email.utils import format_datetime, localtime, make_msgid

    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = addresses.parse(_sender(target))
    mail["To"] = [addresses.parse(address) for address in _recipients(target)]
    mail["Date"] = format_datetime(localtime())
    mail["Message-ID"] = make_msgid(domain=addresses.parse(_sender(target)).domain or None)
    # Suppresses out-of-office replies (RFC 3834).
    mail["Auto-Submitted"] = "auto-generated"
    # Old servers limit the length of lines.
    mail.set_content(message.text(), cte="quoted-printable")
    mail.add_alternative(message.html(), subtype="html", cte="quoted-printable")
    if target["attach_log"] and message.log is not None:
        from ...base.units import parse_size

        data = end_of_log(message.log, parse_size(target["attach_limit"]))
        if data is not None:
            name = os.path.basename(message.log) + ".gz"
            mail.add_attachment(data, maintype="application", subtype="gzip", filename=name)
    return mail


def end_of_log(path: str, limit: int) -> t.Optional[bytes]:
    """The last lines of a file, gzip-compressed to at most ``limit`` bytes; None if there is no file, or no line is that small."""
    import gzip

    try:
        with open(_open_log(path), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            wanted = min(size, limit * RATIO)
            while wanted > 0:
                file.seek(size - wanted)
                data = file.read(wanted)
                if wanted < size:
                    # The first line is incomplete.
                    data = data.partition(b"\n")[2]
                packed = gzip.compress(data, mtime=0)
                if len(packed) <= limit:
                    return packed if data else None
                wanted = wanted * limit // len(packed) * 9 // 10
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReceiverError("cannot attach %s: %s" % (path, error.strerror), retryable=False) from error
    return None


def _open_log(path: str) -> int:
    """A descriptor of the regular file, which lies neither in a keyring nor among the settings of the host."""
    import stat

    from ...base.beneath import guarded_parent, open_file
    from ...base.protected import is_secret

    with guarded_parent(path) as (folder, name):
        descriptor = open_file(folder, name)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ReceiverError("cannot attach %s: it is not a regular file" % path, retryable=False)
    if is_secret(descriptor, path):
        os.close(descriptor)
        raise ReceiverError("cannot attach %s: it may contain keys or passwords" % path, retryable=False)
    return descriptor


def _sender(target: NotifyTarget) -> str:
    import socket

    return target["from"] or "Log archive <log-archive@%s>" % socket.gethostname()


def _recipients(target: NotifyTarget) -> t.List[str]:
    return target["to"] or []


def _envelope(target: NotifyTarget) -> t.Tuple[str, t.List[str]]:
    """The addresses of the sender and the recipients, without names."""
    return addresses.bare(_sender(target)), [addresses.bare(address) for address in _recipients(target)]


# -- the mail system of the host --------------------------------------------------------------------------------------


def _sendmail() -> t.Optional[str]:
    """The path of sendmail. cron's PATH lacks sbin, its usual place."""
    import shutil

    return shutil.which("sendmail", path=os.pathsep.join([os.environ.get("PATH", os.defpath), *SENDMAIL_FOLDERS]))


def _send_with_program(target: NotifyTarget, mail: EmailMessage, program: str) -> None:
    import subprocess

    sender, recipients = _envelope(target)
    command = [program, "-i", "-f", sender, "--", *recipients]
    try:
        done = subprocess.run(command, input=mail.as_bytes(), capture_output=True, timeout=seconds_of(target), check=False)
    except subprocess.TimeoutExpired:
        raise ReceiverError("%s did not end within the timeout" % program) from None
    except OSError as error:
        raise ReceiverError("cannot run %s: %s" % (program, error.strerror)) from error
    if done.returncode != 0:
        text = _shown((done.stderr or done.stdout).strip(), None)
        raise ReceiverError("%s ended with status %d (%s)" % (program, done.returncode, text or "no output"))


# -- an SMTP server ---------------------------------------------------------------------------------------------------


def _send_over_smtp(target: NotifyTarget, mail: EmailMessage, server: str, tls: str) -> None:
    import smtplib

    sender, recipients = _envelope(target)
    smtp: t.Optional[smtplib.SMTP] = None
    try:
        smtp = _connected(target, server, tls)
        refused = smtp.send_message(mail, sender, recipients)
        # If QUIT fails, the server has the mail all the same.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            smtp.quit()
    except (OSError, smtplib.SMTPException) as error:
        raise _smtp_error(error, target) from None
    finally:
        if smtp is not None:
            smtp.close()
    if refused:
        raise _refused(refused, target)


def _connected(target: NotifyTarget, server: str, tls: str) -> smtplib.SMTP:
    import smtplib

    from ...base.net import tls_context

    port, seconds = target["port"] or PORTS[tls], seconds_of(target)
    if tls == "tls":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(server, port, timeout=seconds, context=tls_context(target["ca_bundle"]))
    else:
        smtp = smtplib.SMTP(server, port, timeout=seconds)
    try:
        if tls == "starttls":
            smtp.starttls(context=tls_context(target["ca_bundle"]))
        if target["user"]:
            smtp.login(target["user"], target["password"] or "")
    except BaseException:
        smtp.close()
        raise
    return smtp


def _smtp_error(error: Exception, target: NotifyTarget) -> LogArchiveError:
    """Why the mail was not sent."""
    import smtplib

    if isinstance(error, smtplib.SMTPAuthenticationError):
        # Without the text of the server: some repeat what they received.
        return ReceiverError("the server refuses the login (%d)" % error.smtp_code, retryable=error.smtp_code < 500)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        missing = "login" if "AUTH" in str(error) else "STARTTLS" if "STARTTLS" in str(error) else "such addresses"
        return ReceiverError("the server does not support %s" % missing, retryable=False)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _refused(error.recipients, target)
    if isinstance(error, smtplib.SMTPResponseException):
        text = _shown(error.smtp_error, target["password"])
        return ReceiverError("the server refuses the mail (%d %s)" % (error.smtp_code, text), retryable=error.smtp_code < 500)
    if isinstance(error, smtplib.SMTPServerDisconnected):
        # The library raises it after a timeout too.
        return network_error(error) or ReceiverError("the server closed the connection")
    return network_error(error) or ReceiverError("the mail was not sent (%s)" % type(error).__name__)


def _refused(refused: t.Mapping[str, t.Tuple[int, bytes]], target: NotifyTarget) -> ReceiverError:
    answers = ["%s (%d %s)" % (name, code, _shown(text, target["password"])) for name, (code, text) in sorted(refused.items())]
    left = [address for address in _recipients(target) if addresses.bare(address) in refused]
    retryable = any(code < 500 for code, _text in refused.values())
    return ReceiverError("the server refuses %s" % some(answers), retryable, t.cast("NotifyTarget", {**target, "to": left}))


def _shown(text: t.Union[bytes, str], secret: t.Optional[str]) -> str:
    """The text of a server on one line, without the secret."""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    if secret and secret in text:
        return "its answer contains the password"
    return "".join(character if character.isprintable() else " " for character in text)[:300]


# -- the options ------------------------------------------------------------------------------------------------------


def problems(target: NotifyTarget, log: t.Optional[str]) -> t.List[str]:
    """See ``receivers.problems``."""
    found = []
    for index, address in enumerate(_recipients(target)):
        wrong = addresses.problem(address, local=not target["server"])
        if wrong:
            found.append("to[%d]: %r %s" % (index, address, wrong))
    wrong = addresses.problem(target["from"], local=False) if target["from"] else None
    if wrong:
        found.append("from: %r %s" % (target["from"], wrong))
    if not target["server"]:
        given = [name for name in ("port", "tls", "user", "password", "ca_bundle") if target.get(name) is not None]
        found += ["%s: requires a server; add server, or remove this option" % name for name in given]
    if bool(target["user"]) != bool(target["password"]):
        found.append("user: user and password must be given together")
    if target["tls"] == "none" and target["password"]:
        found.append("tls: none would send the password unencrypted; use starttls or tls")
    if target["attach_log"] and not log:
        found.append("attach_log: the job has no event log to attach; set log")
    return found


RECEIVER = Receiver(deliver, problems, default_when=("failure", "recovery"))
