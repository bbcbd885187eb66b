# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS services and compatible servers over boto3: clients, and errors that state what to do.

Codes that every service shares: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
"""

from __future__ import annotations

import re
import time
import typing as t

from . import net
from .errors import ConfigError, LogArchiveError
from .libraries import needed

Answer = t.Mapping[str, t.Any]
"""ClientError.response of botocore: Error (Code, Message) and ResponseMetadata (HTTPStatusCode, HTTPHeaders)."""


class Role(t.NamedTuple):
    """A role to assume with the credentials that are found first.

    external_id: what the role's trust policy may demand. session_name: how the account of the role sees this session.
    """

    arn: str
    external_id: t.Optional[str] = None
    session_name: str = "log-archive"


class Access(t.NamedTuple):
    """How to reach a service.

    endpoint_url: a compatible server, AWS if None. ca_bundle: a PEM file of the authorities to trust instead of the system's. timeout:
    seconds for connecting, and for each read. Without access_key_id and profile, boto3's standard chain finds the credentials; with
    access_key_id, no profile is used, not even that of AWS_PROFILE. role: assumed with these credentials, and renewed when it expires.
    """

    region: t.Optional[str] = None
    endpoint_url: t.Optional[str] = None
    access_key_id: t.Optional[str] = None
    secret_access_key: t.Optional[str] = None
    session_token: t.Optional[str] = None
    profile: t.Optional[str] = None
    ca_bundle: t.Optional[str] = None
    timeout: float = 60.0
    role: t.Optional[Role] = None

    def __repr__(self) -> str:
        return "Access(region=%r, endpoint_url=%r)" % (self.region, self.endpoint_url)


def access_of(options: t.Mapping[str, t.Any], region: t.Optional[str] = None) -> Access:
    """The access that these options describe (``config.aws_spec.AWS``). region: another one than the option's."""
    from .units import parse_duration

    role = Role(options["role_arn"], options["external_id"]) if options["role_arn"] else None
    return Access(
        region=region or options["region"],
        endpoint_url=options["endpoint_url"],
        access_key_id=options["access_key_id"],
        secret_access_key=options["secret_access_key"],
        session_token=options["session_token"],
        profile=options["profile"],
        ca_bundle=options["ca_bundle"],
        timeout=parse_duration(options["timeout"]),
        role=role,
    )


class AwsError(LogArchiveError):
    """A request failed.

    reason: credentials (missing or wrong), expired (temporary credentials), denied (the request is not allowed), clock, region (a wrong
    one, or one that the account has not enabled), tls (a certificate that is not accepted), throttled (too many requests), unavailable
    (trying again may help) or other. status: of HTTP, 0 without an answer. code: of the service, '' without one.
    """

    def __init__(self, reason: str, message: str, subject: str, hint: t.Optional[str] = None, status: int = 0, code: str = "") -> None:
        super().__init__(message, subject, hint)
        self.reason = reason
        self.kind = "aws_" + reason
        self.status = status
        self.code = code

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.reason in ("unavailable", "throttled")


def make_client(service: str, access: Access, subject: str, addressing_style: str = "auto") -> t.Any:
    """A client of boto3, which sends nothing yet and makes each request once: retries are the caller's.

    service: such as 's3'. subject: names the service in errors. addressing_style: of buckets: auto, path or virtual.
    Raises MissingLibraryError, ConfigError, AwsError.
    """
    with needed("boto3", "S3 stores and AWS services"):
        import boto3.session
        import botocore.exceptions
        import botocore.session
        from botocore.config import Config
    if access.ca_bundle is not None:
        # boto3 notices a missing file at the first request and reports neither it nor its path.
        net.tls_context(access.ca_bundle)
    config = Config(
        s3=t.cast(t.Any, {"addressing_style": addressing_style}),
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=access.timeout,
        read_timeout=access.timeout,
    )
    # botocore before 1.36 does not know these two, and behaves as with when_required.
    if "request_checksum_calculation" in Config.OPTION_DEFAULTS:
        config = config.merge(Config(request_checksum_calculation="when_required", response_checksum_validation="when_required"))
    try:
        # Without this, AWS_PROFILE must name a profile that exists, whether its credentials are used or not.
        no_profile = {"profile": (None, None, None, None)} if access.access_key_id else None
        session: t.Any = boto3.session.Session(
            botocore_session=botocore.session.Session(session_vars=t.cast(t.Any, no_profile)),
            profile_name=None if access.access_key_id else access.profile,
            region_name=access.region,
            aws_access_key_id=access.access_key_id,
            aws_secret_access_key=access.secret_access_key,
            aws_session_token=access.session_token,
        )
        if access.role is not None:
            _assume(session, access, access.role, config)
        return session.client(service, endpoint_url=access.endpoint_url, verify=access.ca_bundle, config=config)
    except botocore.exceptions.BotoCoreError as error:
        raise explain(error, subject, access.region) from error
    except ValueError as error:
        raise ConfigError(str(error), subject, "Check endpoint_url and region") from error


def _assume(session: t.Any, access: Access, role: Role, config: t.Any) -> None:
    """Let the session use the credentials of a role. They are asked for with the first request, and again before they expire."""
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    core = session._session

    def create_client(service: str, **given: t.Any) -> t.Any:
        if access.region is not None:
            given["region_name"] = access.region
        return core.create_client(service, endpoint_url=access.endpoint_url, verify=access.ca_bundle, config=config, **given)

    source = core.get_credentials()
    if source is None:
        from botocore.exceptions import NoCredentialsError

        raise NoCredentialsError
    more = {"RoleSessionName": role.session_name, **({"ExternalId": role.external_id} if role.external_id else {})}
    fetcher = AssumeRoleCredentialFetcher(create_client, source, role.arn, extra_args=more)
    core._credentials = DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)


def request_errors() -> t.Tuple[t.Type[Exception], ...]:
    """The exceptions of boto3's requests, for an ``except`` clause: what ``explain`` takes."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    return (BotoCoreError, ClientError, ResponseParserError)


# -- errors -----------------------------------------------------------------------------------------------------------

WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "TemporaryRedirect"}
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
WRONG_CREDENTIALS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "InvalidSecurity",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "UnrecognizedClientException",
}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
NOT_ENABLED = {"OptInRequired", "RegionDisabledException", "SubscriptionRequiredException"}
"""The account has not enabled the region, or the service in it."""
THROTTLED = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequests",
    "TooManyRequestsException",
}
BUSY = {
    "ConditionalRequestConflict",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "ServiceUnavailableException",
}
CREDENTIAL_ERRORS = {
    "CredentialRetrievalError",
    "LoginError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "SSOError",
    "TokenRetrievalError",
}
"""Exceptions of botocore, by name: older releases do not have all of them."""


_CERTIFICATE_HINTS = {
    "tls_name": "Use a host name in endpoint_url that the server's certificate contains, or set addressing_style to path",
    "tls_expired": "Renew the server's certificate; check the clock of this host, too",
    "tls_untrusted": "Set ca_bundle to the CA that signed the server's certificate",
}
MOST_SKEW = 900
"""Seconds by which clocks may differ: a signature is valid that long.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""


def explain(error: Exception, subject: str, region: t.Optional[str] = None) -> AwsError:
    """The AwsError for an exception of ``request_errors``. region: the one that the request was signed for."""
    import botocore.exceptions as known

    if isinstance(error, known.ClientError):
        return explain_answer(error.response, subject, region)
    text = without_secrets(str(error))
    if any(parent.__name__ in CREDENTIAL_ERRORS for parent in type(error).__mro__):
        hint = "Set access_key_id and secret_access_key, a profile, or the AWS_* environment; or give the machine a role"
        return AwsError("credentials", "no usable credentials: %s" % text, subject, hint)
    cause = net.find_cause(error)
    if isinstance(error, known.SSLError):
        message = "TLS failed: %s" % text if cause is None else cause.message
        if cause is not None and cause.is_certificate:
            return AwsError("tls", message, subject, _CERTIFICATE_HINTS[cause.kind])
        return AwsError("unavailable", message, subject, "Check that endpoint_url's scheme and port are those of the server")
    if isinstance(error, (known.HTTPClientError, known.IncompleteReadError, known.ConnectionError)):
        # botocore's text names the endpoint, and a timeout as such, but no other cause.
        detail = "" if cause is None or cause.kind == "timeout" else " (%s)" % cause.message
        return AwsError("unavailable", text + detail, subject)
    if not isinstance(error, known.BotoCoreError):
        # The body is not XML or JSON: a page of a proxy, for example.
        return AwsError("unavailable", "cannot read the server's answer: %s" % text.partition("\n")[0][:200], subject)
    return AwsError("other", text, subject)


def explain_answer(answer: Answer, subject: str, region: t.Optional[str] = None) -> AwsError:
    """The AwsError for an error that the service answered."""
    error = answer.get("Error", {})
    code = str(error.get("Code", ""))
    metadata = answer.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 0)
    headers = metadata.get("HTTPHeaders", {})
    message = "the server answered %s %s" % (status, code) if code and code != str(status) else "the server answered %s" % status
    if error.get("Message"):
        message += " (%s)" % error["Message"]
    hint: t.Optional[str] = None
    target = headers.get("location")
    # The answer to a HEAD has no body and so no code: its date shows the reason.
    # Other services than S3 report a wrong clock as a signature of the wrong time.
    signature = code in ("", "400", "403", "SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure")
    if code == "RequestTimeTooSkewed" or (signature and _skew(headers) > MOST_SKEW):
        reason, hint = "clock", "Set this host's clock (NTP)"
        server = error.get("ServerTime") or headers.get("date", "unknown")
        here = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        message = "the clocks differ too much: this host has %s, the server %s" % (here, server)
    elif status // 100 == 3 and target and code not in WRONG_REGION and not headers.get("x-amz-bucket-region"):
        reason, hint = "other", "Set endpoint_url to the server that it redirects to, if that is the right one"
        message = "the endpoint redirects to %s (status %s)" % (ascii(without_secrets(str(target)[:200])).strip("'"), status)
    elif code in WRONG_REGION or status in (301, 307):
        reason = "region"
        message = "the bucket is not in region %s: %s" % (region or "(none set)", message)
        right = error.get("Region") or headers.get("x-amz-bucket-region")
        hint = "Set region to %s" % right if right else "Set region (and endpoint_url) to the bucket's"
        if error.get("Endpoint"):
            hint += "; its endpoint is %s" % error["Endpoint"]
    elif code in EXPIRED:
        reason, hint = "expired", "The temporary credentials have expired: get new ones"
    elif code in WRONG_CREDENTIALS:
        reason = "credentials"
        hint = "Check access_key_id and secret_access_key (or session_token, or profile), and that they are for this endpoint"
    elif code in NOT_ENABLED:
        reason, hint = "region", "Enable region %s for the account, or leave it out" % (region or "(none set)")
    elif code in THROTTLED or status == 429:
        reason, hint = "throttled", "The account sends too many requests: try again later, or raise the service's quota"
    elif code in DENIED or status in (401, 403):
        reason, hint = "denied", "Check the credentials and what their policy allows"
    elif code in BUSY or status == 408 or status >= 500:
        reason = "unavailable"
    else:
        reason = "other"
    return AwsError(reason, message, subject, hint, status, code)


def _skew(headers: t.Mapping[str, str]) -> float:
    """Seconds between the clock of this host and the date in an answer; 0 if the answer has no valid date."""
    from email.utils import parsedate_to_datetime

    try:
        return abs(parsedate_to_datetime(headers["date"]).timestamp() - time.time())
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0.0


def without_secrets(text: str) -> str:
    """``text`` with user, password and query removed from its URLs: a query may carry a signature."""
    return re.sub(r"(?i)(https?://)(?:[^/@\s]*@)?([^?\s\"']*)(?:\?[^\s\"']*)?", r"\1\2", text)
