# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers as fixtures: each is started once per session, on first use; folders and buckets are new for each test."""

from __future__ import annotations

import contextlib
import gc
import os
import pathlib
import shutil
import sys
import tempfile
import time
import typing as t
import uuid

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
# The engine is imported by its full name from the symlink that 'make' creates below build/collections.
for folder in (CHECKOUT / "tests", CHECKOUT / "build" / "collections"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

# Images of containers often set these. An unbuffered Python reads each module that Ansible sends it byte by byte, which takes longer than
# the module; without compiled files every process compiles the engine again.
for variable in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(variable, None)
sys.dont_write_bytecode = False

# A test's own processes find the engine too.
os.environ["PYTHONPATH"] = os.pathsep.join([str(CHECKOUT / "build" / "collections"), *filter(None, [os.environ.get("PYTHONPATH")])])

import hypothesis  # noqa: E402
import lab  # noqa: E402
from lab import quick_ansible  # noqa: E402
from rigs import examples, reruns, service_tables, skips  # noqa: E402

# An example takes longer on a machine that does something else, too. The examples are the same in each run, so that a change alone can
# make a test fail; with LOG_ARCHIVE_STORM=long, as for 'make storm', they are new ones.
hypothesis.settings.register_profile(
    "log_archive",
    max_examples=examples.examples(100),
    deadline=None,
    derandomize=os.environ.get("LOG_ARCHIVE_STORM") != "long",
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("log_archive")


def started(stack: contextlib.ExitStack, part: t.ContextManager[t.Any]) -> t.Any:
    """Enter a context of the lab; skip if this machine does not have what it needs."""
    try:
        return stack.enter_context(part)
    except lab.Unavailable as error:
        pytest.skip(str(error))


def pytest_configure(config: pytest.Config) -> None:
    """Add the rules about cases, skips and second tries, and make the folder that this session's runs of Ansible share, for all workers."""
    # Until all tests are collected: nearly nothing of that is garbage.
    gc.disable()
    config.pluginmanager.register(examples, "log-archive-examples")
    config.pluginmanager.register(skips, "log-archive-skips")
    if config.pluginmanager.hasplugin("rerunfailures"):
        config.pluginmanager.register(reruns, "log-archive-reruns")
    if not hasattr(config, "workerinput"):
        shared = tempfile.TemporaryDirectory(prefix="log-archive-modules-")
        os.environ[quick_ansible.SHARED] = shared.name
        config.add_cleanup(shared.cleanup)


def pytest_make_parametrize_id(val: object, argname: str) -> t.Optional[str]:
    """Bytes that are not text are named by their place: packed or sealed data hold the time, and the workers' names must agree."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: t.List[pytest.Item]) -> None:
    """Tests of one group share hosts and need one worker: refuse a pytest with which pytest-xdist does not group them."""
    if getattr(config.option, "loadgroup", False):
        for item in items:
            if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
                raise pytest.UsageError(
                    "pytest-xdist does not group tests with pytest %s: see tests/requirements-unit.txt" % pytest.__version__
                )


def pytest_collection_finish() -> None:
    """What was collected stays: no search for garbage looks at it again.

    A new client of a service of AWS costs a tenth of a second without its tables; not every virtualenv has the library.
    """
    gc.freeze()
    gc.enable()
    with contextlib.suppress(ImportError):
        service_tables.share()


@pytest.fixture(scope="session")
def _session_stack() -> t.Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def start_session_part(_session_stack: contextlib.ExitStack) -> t.Callable[[t.ContextManager[t.Any]], t.Any]:
    """Call with a context of the lab to enter it until the session ends."""
    return lambda part: started(_session_stack, part)


@pytest.fixture(scope="module")
def start_part() -> t.Iterator[t.Callable[[t.ContextManager[t.Any]], t.Any]]:
    """Call with a context of the lab to enter it until the module's tests are over."""
    with contextlib.ExitStack() as stack:
        yield lambda part: started(stack, part)


@pytest.fixture(scope="session")
def openssh(_session_stack: contextlib.ExitStack, tmp_path_factory: pytest.TempPathFactory) -> lab.SftpServer:
    """OpenSSH, login of the present user by key, with a shell. Leave it running: stop or pause a server of your own (new_openssh)."""
    return started(_session_stack, lab.openssh_server(tmp_path_factory.mktemp("openssh")))


@pytest.fixture(scope="session")
def openssh_sftp_only(_session_stack: contextlib.ExitStack, tmp_path_factory: pytest.TempPathFactory) -> lab.SftpServer:
    """OpenSSH that forces internal-sftp: no shell, no md5sum."""
    return started(_session_stack, lab.openssh_server(tmp_path_factory.mktemp("openssh-sftp-only"), internal_sftp_only=True))


@pytest.fixture(scope="session")
def openssh_password(_session_stack: contextlib.ExitStack, tmp_path_factory: pytest.TempPathFactory) -> lab.SftpServer:
    """OpenSSH with a login by password (or key) of a temporary Unix user without rights."""
    return started(_session_stack, lab.openssh_server(tmp_path_factory.mktemp("openssh-password"), password=True))


@pytest.fixture(scope="session")
def proftpd(_session_stack: contextlib.ExitStack, tmp_path_factory: pytest.TempPathFactory) -> lab.SftpServer:
    """ProFTPD with mod_sftp: check-file, refuses to overwrite; login by key or password."""
    return started(_session_stack, lab.proftpd_server(tmp_path_factory.mktemp("proftpd")))


@pytest.fixture(scope="session")
def swift(_session_stack: contextlib.ExitStack, tmp_path_factory: pytest.TempPathFactory) -> lab.S3Server:
    """Swift's S3 API."""
    return started(_session_stack, lab.swift_s3(tmp_path_factory.mktemp("swift")))


@pytest.fixture(scope="session")
def _moto(_session_stack: contextlib.ExitStack, tmp_path_factory: pytest.TempPathFactory) -> lab.AwsServer:
    return started(_session_stack, lab.aws_server(tmp_path_factory.mktemp("moto")))


@pytest.fixture
def aws_server(_moto: lab.AwsServer) -> lab.AwsServer:
    """The APIs of AWS; nothing is there yet."""
    _moto.reset()
    return _moto


@pytest.fixture
def bucket(swift: lab.S3Server) -> str:
    """A new bucket on ``swift``."""
    return swift.make_bucket()


@pytest.fixture
def new_openssh(tmp_path: pathlib.Path) -> t.Iterator[t.Callable[..., lab.SftpServer]]:
    """Call with openssh_server's options for an OpenSSH that this test may stop, pause, or give another host key."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: started(stack, lab.openssh_server(tmp_path / ("openssh-" + uuid.uuid4().hex[:6]), **options))


@pytest.fixture
def new_proftpd(tmp_path: pathlib.Path) -> t.Iterator[t.Callable[..., lab.SftpServer]]:
    """Call with proftpd_server's options for a ProFTPD of this test's own."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: started(stack, lab.proftpd_server(tmp_path / ("proftpd-" + uuid.uuid4().hex[:6]), **options))


@pytest.fixture
def new_proxy() -> t.Iterator[t.Callable[[t.Any], lab.TcpProxy]]:
    """Call with a server of the lab (or anything with host and port) for a TcpProxy before it."""
    with contextlib.ExitStack() as stack:
        yield lambda server: stack.enter_context(lab.tcp_proxy((server.host, server.port)))


@pytest.fixture
def quick_path() -> t.Iterator[pathlib.Path]:
    """A folder in memory, if possible: it keeps what a killed process has written, and nothing waits for a disk."""
    memory = "/dev/shm"
    folder = tempfile.mkdtemp(prefix="log-archive-test-", dir=memory if os.access(memory, os.W_OK) else None)
    yield pathlib.Path(folder)
    shutil.rmtree(folder)


@pytest.fixture
def small_filesystem(tmp_path: pathlib.Path) -> t.Iterator[t.Callable[..., pathlib.Path]]:
    """Call with a size in bytes (and ``inodes``) for the folder of a file system that small."""
    with contextlib.ExitStack() as stack:

        def mounted(size: int, inodes: t.Optional[int] = None) -> pathlib.Path:
            folder = tmp_path / ("small-" + uuid.uuid4().hex[:6])
            return pathlib.Path(started(stack, lab.small_filesystem(folder, size, inodes)))

        yield mounted


@pytest.fixture
def host_zone() -> t.Iterator[t.Callable[[str], None]]:
    """Call with the name of a time zone to make it this process's own until the test ends, as that of a host with a schedule."""
    with pytest.MonkeyPatch.context() as patched:

        def use(name: str) -> None:
            patched.setenv("TZ", name)
            time.tzset()

        yield use
    time.tzset()


@pytest.fixture(scope="session")
def loghub() -> pathlib.Path:
    """Real logs, where the shared data folder lies beside the checkout."""
    folder = CHECKOUT.parent / "shared" / "data" / "loghub"
    if not folder.is_dir():
        pytest.skip("no real logs beside this checkout (%s)" % folder.relative_to(CHECKOUT.parent))
    return folder


@pytest.fixture(scope="session")
def collections_path() -> pathlib.Path:
    """The folder of collections that playbooks use: the tarball as installed under 'make test', else this checkout."""
    return pathlib.Path(os.environ.get("LOG_ARCHIVE_COLLECTIONS", CHECKOUT / "build" / "collections"))
