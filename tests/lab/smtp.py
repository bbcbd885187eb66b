# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real SMTP server on 127.0.0.1 (aiosmtpd), with STARTTLS or TLS and a login, that keeps what it takes; and a real sendmail program."""

from __future__ import annotations

import contextlib
import email.message
import email.policy
import os
import pathlib
import ssl
import typing as t
import warnings

from .https import NAME, Authority
from .processes import HOST, Unavailable, free_port, need_program

try:
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
except ImportError:
    Controller = None

USER = "archive"
PASSWORD = "a password with % and : and @"


class Mail(t.NamedTuple):
    """One mail as it was taken: the envelope, whether the connection was encrypted and logged in, and the parsed message."""

    sender: str
    recipients: t.List[str]
    encrypted: bool
    user: t.Optional[str]
    message: email.message.EmailMessage


class SmtpServer:
    """What a test knows of the server.

    mails: what it took. refused: {address: answer}, such as {'x@example.com': '550 no such user'}; answers: answers to the next mails'
    contents, in turn, before it takes one. logins: how often a login was tried. stall: seconds before it answers a mail's content.
    """

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.host = NAME
        self.port = free_port()
        self.mails: t.List[Mail] = []
        self.refused: t.Dict[str, str] = {}
        self.answers: t.List[str] = []
        self.logins = 0
        self.stall = 0.0

    # -- called by aiosmtpd -------------------------------------------------------------------------------------------

    async def handle_RCPT(self, _server: t.Any, _session: t.Any, envelope: t.Any, address: str, _options: t.Any) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: t.Any, session: t.Any, envelope: t.Any) -> str:
        import asyncio

        await asyncio.sleep(self.stall)
        if self.answers:
            return self.answers.pop(0)
        user = session.auth_data.login.decode() if session.authenticated else None
        message = t.cast(email.message.EmailMessage, email.message_from_bytes(envelope.content, policy=email.policy.default))
        encrypted = server.transport.get_extra_info("ssl_object") is not None
        self.mails.append(Mail(envelope.mail_from, list(envelope.rcpt_tos), encrypted, user, message))
        return "250 taken"

    def is_right(self, _server: t.Any, _session: t.Any, _envelope: t.Any, _mechanism: str, given: t.Any) -> t.Any:
        self.logins += 1
        right = isinstance(given, LoginPassword) and (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False, auth_data=given)


@contextlib.contextmanager
def smtp_server(
    folder: t.Union[str, os.PathLike[str]],
    tls: str = "starttls",
    login: bool = True,
    authority: t.Optional[Authority] = None,
) -> t.Iterator[SmtpServer]:
    """Run the server until the context ends. tls: 'starttls', 'tls' or 'none'. login: it wants one (USER, PASSWORD)."""
    if Controller is None:
        raise Unavailable("the Python library 'aiosmtpd' is missing")
    state = SmtpServer(authority or Authority(pathlib.Path(folder)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*state.authority.issue("smtp", (NAME, HOST)))
    options: t.Dict[str, t.Any] = {"authenticator": state.is_right, "auth_required": login, "auth_require_tls": tls == "starttls"}
    if tls == "starttls":
        options.update(tls_context=context, require_starttls=True)

    class _Server(Controller):
        def factory(self) -> t.Any:
            with warnings.catch_warnings():
                # Of a login without STARTTLS: on a connection that is TLS from its first byte it does not know better.
                warnings.simplefilter("ignore")
                return SMTP(self.handler, hostname=NAME, **options)

    server = _Server(state, hostname=HOST, port=state.port, ssl_context=context if tls == "tls" else None, ready_timeout=60)
    server.start()
    try:
        yield state
    finally:
        server.stop()


@contextlib.contextmanager
def sendmail_program(folder: pathlib.Path, port: int) -> t.Iterator[t.Dict[str, str]]:
    """The environment in which ``sendmail`` is msmtp, as Debian's package msmtp-mta has it, and brings mail to this port."""
    program = need_program("msmtp", "msmtp")
    binaries = folder / "bin"
    binaries.mkdir(parents=True)
    (binaries / "sendmail").symlink_to(program)
    settings = folder / ".msmtprc"
    settings.touch(0o600)
    settings.write_text("account default\nhost %s\nport %d\nauth off\ntls off\n" % (HOST, port), encoding="ascii")
    yield {"HOME": str(folder), "PATH": os.pathsep.join([str(binaries), os.environ["PATH"]])}
