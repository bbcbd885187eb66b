# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real hosts that Ansible manages over OpenSSH, in their own namespaces on this machine, and a controller in their network.

A *light* host is an overlay on one Debian root file system with its own processes, host name, network, sshd and cron, and no
systemd; it is up in less than a second. A *systemd* host is the same kind of disk, run by Podman with systemd as its first process.
Nothing reaches the machine's own network, services or container storage. Needs root.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import platform
import secrets
import shutil
import signal
import subprocess
import sys
import time
import typing as t

from . import quick_ansible
from .filesystems import path_inside
from .openssh import new_key
from .processes import NAMESPACES, NotReady, Unavailable, answers, children_of, need_program, overdue, send, within
from .quick_ansible.warm import WarmAnsible
from .swift import S3Server, swift_s3

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / "build" / "fleet"
SUITE = "bookworm"
# The Python of SUITE, for which the wheelhouse is.
PYTHON = "3.11"
LIGHT_PACKAGES = ("openssh-server", "python3", "python3-venv", "cron", "iproute2", "sudo", "logrotate")
# With the libraries of the distribution too, so that a role can use them without internet.
SYSTEMD_PACKAGES = (*LIGHT_PACKAGES, "systemd", "systemd-sysv", "dbus", "python3-cryptography", "python3-paramiko", "python3-boto3")
# As on a host that has it and runs no site.
SYSTEMD_PACKAGES = (*SYSTEMD_PACKAGES, "nginx", "openssl")
# What the timers of the distribution start.
DAILY = ("apt-daily", "apt-daily-upgrade", "dpkg-db-backup", "e2scrub_all", "logrotate")
# An unprivileged login that may do everything with sudo, as on most fleets. root can log in, too.
ADMIN = "admin"
NETWORK = "10.99.0.%d"

# In a new pid, mount, ipc and uts namespace: the host's disk becomes /, then what its boot would start.
BOOT = """\
set -eu
hostname "$2"
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/lock
mount -t tmpfs -o mode=755 tmpfs dev
for each in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0"; do
    set -- $each
    mknod -m 666 "dev/$1" c "$2" "$3"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for each in stdin:0 stdout:1 stderr:2; do
    ln -s "/proc/self/fd/${each#*:}" "dev/${each%:*}"
done
pivot_root . mnt
exec chroot . /bin/sh -c '
    exec </dev/null
    umount -l /mnt
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    /etc/init.d/cron start
    /etc/init.d/ssh start
    # Reaps what loses its parent, as the first process must.
    while :; do sleep 86400 & wait $!; done'
"""

CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
"""


def _command(*argv: t.Any, **options: t.Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(each) for each in argv], capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise NotReady(
            "%s failed with %d: %s" % (" ".join(str(each) for each in argv), done.returncode, (done.stderr or done.stdout)[-2000:])
        )
    return done


# -- what is made once per machine -------------------------------------------------------------------------------------


@contextlib.contextmanager
def _locked(name: str) -> t.Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / (name + ".lock"), "w", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _made_once(name: str, recipe: t.Any, make: t.Callable[[pathlib.Path], None]) -> pathlib.Path:
    """The folder that ``make`` fills, one for each recipe; it appears under its name when it is complete."""
    folder = CACHE / ("%s-%s" % (name, hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:8]))
    # One lock for each folder: two root file systems can be made at the same time.
    with _locked(folder.name):
        if not folder.exists():
            unfinished = pathlib.Path("%s.unfinished" % folder)
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(folder)
    return folder


def root_filesystem(packages: t.Sequence[str] = LIGHT_PACKAGES, suite: str = SUITE) -> pathlib.Path:
    """A Debian root file system with these packages, to be used as an overlay's lower layer. suite: the name of the release."""
    program = need_program("mmdebstrap", "mmdebstrap")
    hooks = [
        # Each host gets its own keys and its own identity.
        'rm -f "$1"/etc/ssh/ssh_host_*',
        ': > "$1"/etc/machine-id',
        'chroot "$1" useradd --create-home --shell /bin/sh --password "*" %s' % ADMIN,
        'echo "%s ALL=(ALL) NOPASSWD: ALL" > "$1"/etc/sudoers.d/%s' % (ADMIN, ADMIN),
        'chmod 440 "$1"/etc/sudoers.d/%s' % ADMIN,
        'if [ -e "$1"/bin/systemctl ]; then chroot "$1" systemctl enable ssh cron; fi',
        # Only what a test sets up works by the clock: at midnight logrotate and dpkg would change files below a test that compares them.
        'rm -f "$1"/etc/cron.*/*',
        'if [ -e "$1"/bin/systemctl ]; then for each in %s; do mkdir -p "$1"/etc/systemd/system/$each.service.d; '
        "printf '[Service]\\nExecStart=\\nExecStart=/bin/true\\n' > \"$1\"/etc/systemd/system/$each.service.d/nothing.conf; done; fi"
        % " ".join(DAILY),
    ]
    if "nginx" in packages:
        hooks.append('chroot "$1" systemctl disable nginx; rm "$1"/etc/nginx/sites-enabled/default')
    # It mounts /proc and /sys there. In its own mount namespace nothing stays mounted, however it ends.
    argv = ["unshare", "--mount", "--propagation=private", program, "--mode=root", "--variant=minbase", "--include=" + ",".join(packages)]
    argv += ["--customize-hook=" + hook for hook in hooks]

    def make(folder: pathlib.Path) -> None:
        done = subprocess.run([*argv, suite, str(folder)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable("no root file system for hosts: mmdebstrap failed: %s" % done.stderr[-2000:])
        folder.chmod(0o755)

    return _made_once("rootfs", [suite, argv[argv.index(program) + 1 :]], make)


def wheelhouse() -> pathlib.Path:
    """A folder with the wheels of requirements.txt for the hosts' Python."""
    requirements = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8")
    machine = platform.machine()
    platforms = ["manylinux_2_%d_%s" % (minor, machine) for minor in (34, 31, 28, 27, 26, 24, 17, 12, 5)] + ["manylinux2014_" + machine]
    argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download", "--only-binary=:all:"]
    argv += ["--implementation=cp", "--python-version=" + PYTHON, "--abi=cp" + PYTHON.replace(".", ""), "--abi=abi3", "--abi=none"]
    argv += ["--platform=" + each for each in platforms]

    def make(folder: pathlib.Path) -> None:
        done = subprocess.run(
            [*argv, "--dest", str(folder), "--requirement", str(CHECKOUT / "requirements.txt")], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Unavailable("no wheels for hosts: pip failed: %s" % done.stderr[-2000:])

    return _made_once("wheelhouse", [requirements, argv[3:]], make)


INSTALL_LIBRARIES = """\
set -eu
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount --bind /dev dev
mount -t tmpfs tmpfs tmp
mount --bind "$2" mnt
mount --bind "$3" opt
umask 022
chroot . python3 -m venv /opt/log-archive/venv
chroot . sh -c '/opt/log-archive/venv/bin/python -m pip --disable-pip-version-check --quiet install --no-cache-dir --no-index /mnt/*.whl'
"""


def libraries() -> pathlib.Path:
    """An overlay's layer with the virtualenv that the role dependencies would make, with all wheels: for tests of other roles."""
    root, wheels = root_filesystem(), wheelhouse()

    def make(folder: pathlib.Path) -> None:
        (folder / "opt").mkdir(parents=True)
        argv = ["unshare", "--mount", "--propagation=private", "sh", "-c", INSTALL_LIBRARIES, "sh", root, wheels, folder / "opt"]
        _command(*argv, cwd="/")

    return _made_once("libraries", [root.name, wheels.name, INSTALL_LIBRARIES], make)


def prepare() -> None:
    """Make all of that at the same time, as most of it waits for downloads."""
    with concurrent.futures.ThreadPoolExecutor() as threads:
        for made in [threads.submit(libraries), threads.submit(root_filesystem, SYSTEMD_PACKAGES)]:
            made.result()


# -- hosts -------------------------------------------------------------------------------------------------------------


class Host:
    """One host of a fleet.

    name: its host name and its name in the inventory; address: its only address; systemd: whether systemd is its first process;
    root: its disk as it is seen from outside; fleet: the fleet it belongs to.
    """

    systemd = False
    packages: t.Sequence[str] = LIGHT_PACKAGES

    def __init__(self, fleet: Fleet, name: str, address: str) -> None:
        self.fleet = fleet
        self.name = name
        self.address = address
        self.namespace = "%s-%s" % (fleet.id, name)
        self.folder = fleet.folder / "hosts" / name
        self.root = self.folder / "root"
        self.host_keys: t.List[str] = []
        self._process: t.Optional[subprocess.Popen[bytes]] = None

    def path(self, path: t.Union[str, os.PathLike[str]]) -> pathlib.Path:
        """A file of this host as it is seen from outside, running or not; what the host mounts (/run, /proc, /dev) is not seen.

        A link in it is followed as the host follows it. A link that is met later, below a folder that this returned, is not.
        """
        return pathlib.Path(path_inside(self.root, path))

    def run(self, argv: t.Sequence[str], check: bool = True, **options: t.Any) -> subprocess.CompletedProcess[str]:
        """Run a command as root on this host and return it with its output as text. ``options`` go to subprocess.run."""
        environment = ["env", "-i", "HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        nsenter = ["nsenter", "--target=%d" % self.pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"]
        done = subprocess.run([*nsenter, *environment, *argv], check=False, **{"capture_output": True, "text": True, **options})
        if check and done.returncode:
            raise AssertionError("%s: %s failed with %d: %s%s" % (self.name, list(argv), done.returncode, done.stdout, done.stderr))
        return done

    @property
    def pid(self) -> int:
        """Pid, on this machine, of the host's first process."""
        assert self._process is not None, "%s is off" % self.name
        return children_of(self._process.pid)[0]

    def create(self) -> None:
        """Make the disk and plug in the network; ``launch`` switches on."""
        for each in ("disk", "work", "root"):
            (self.folder / each).mkdir(parents=True)
        lower = [*([libraries()] if self.fleet.libraries else []), root_filesystem(self.packages, self.fleet.suite)]
        layers = "lowerdir=%s,upperdir=%s,workdir=%s" % (":".join(map(str, lower)), self.folder / "disk", self.folder / "work")
        _command("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
        for kind in ("ed25519", "ecdsa"):
            key = self.path("/etc/ssh/ssh_host_%s_key" % kind)
            self.host_keys.append(new_key(str(key), "root@" + self.name, kind))
        self.path("/etc/hostname").write_text(self.name + "\n", encoding="ascii")
        # It stays the same machine after it was switched off.
        self.path("/etc/machine-id").write_text(secrets.token_hex(16) + "\n", encoding="ascii")
        self.path("/etc/hosts").write_text(self.fleet.names, encoding="ascii")
        for home, owner in (("/root", 0), ("/home/" + ADMIN, self.path("/home/" + ADMIN).stat().st_uid)):
            folder = self.path(home + "/.ssh")
            folder.mkdir(mode=0o700, exist_ok=True)
            (folder / "authorized_keys").write_text(self.fleet.public_key + "\n", encoding="ascii")
            for each in (folder, folder / "authorized_keys"):
                os.chown(each, owner, owner)
        hub = self.fleet.namespace
        _command("ip", "netns", "add", self.namespace)
        _command("ip", "-n", hub, "link", "add", self._port, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        _command("ip", "-n", hub, "link", "set", self._port, "master", "br0")
        _command("ip", "-n", self.namespace, "addr", "add", self.address + "/24", "dev", "eth0")
        _command("ip", "-n", self.namespace, "link", "set", "eth0", "up")
        _command("ip", "-n", self.namespace, "link", "set", "lo", "up")

    @property
    def _port(self) -> str:
        return "p%s" % self.address.rpartition(".")[2]

    def launch(self) -> None:
        """Switch on without waiting until the host answers."""
        _command("ip", "-n", self.fleet.namespace, "link", "set", self._port, "up")
        # The host goes with the process that made it, however that ends.
        argv = ["setpriv", "--pdeathsig=KILL", "nsenter", "--net=%s" % (NAMESPACES / self.namespace)]
        argv += ["unshare", "--fork", "--pid", "--kill-child", "--uts", "--ipc", "--mount", "--propagation=private"]
        with open(self.folder / "console", "ab") as log:
            self._process = subprocess.Popen(
                [*argv, "sh", "-c", BOOT, "sh", str(self.root), self.name], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Return once sshd answers."""
        began = time.monotonic()
        while not overdue(began, seconds):
            try:
                if within(self.fleet.namespace, lambda: answers(22, b"SSH-2.0", self.address)):
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise NotReady("the host %s does not answer: %s" % (self.name, self.console()[-2000:]))

    def start(self) -> None:
        """Switch on (after ``stop``, with the disk as it was) and wait until sshd answers."""
        self.launch()
        self.wait_ready()

    def stop(self) -> None:
        """Switch off hard: no process ends in order, no connection is closed; the disk stays."""
        _command("ip", "-n", self.fleet.namespace, "link", "set", self._port, "down")
        self.kill()
        self.fleet.forget_connections()

    def kill(self) -> None:
        """End every process; does nothing where the host is off or was never on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        # It has ended once no process is left in its network.
        _kill_all(self.namespace)

    def console(self) -> str:
        """What the host's boot printed."""
        return (self.folder / "console").read_text(encoding="utf-8", errors="replace")


class SystemdHost(Host):
    """A host with systemd as its first process. Its journal is on its disk."""

    systemd = True
    packages = SYSTEMD_PACKAGES
    _pid: t.Optional[int] = None

    @property
    def pid(self) -> int:
        """Pid, on this machine, of the host's first process."""
        assert self._pid is not None, "%s is off" % self.name
        return self._pid

    def launch(self) -> None:
        """Switch on without waiting until the host answers."""
        _command("ip", "-n", self.fleet.namespace, "link", "set", self._port, "up")
        options = [
            "--detach",
            "--systemd=always",
            "--network=ns:%s" % (NAMESPACES / self.namespace),
            "--hostname=" + self.name,
            "--no-hosts",
        ]
        journal = self.path("/var/log/journal")
        journal.mkdir(exist_ok=True)
        # Otherwise Podman keeps it in memory.
        options += ["--volume=%s:/var/log/journal" % journal]
        options += ["--privileged", "--name=" + self.name, "--log-driver=k8s-file", "--log-opt=path=%s" % (self.folder / "console")]
        try:
            self.fleet.podman("run", *options, "--rootfs", str(self.root), "/sbin/init")
        except NotReady as error:
            raise Unavailable("Podman cannot run a host with systemd here: %s" % error) from error
        self._pid = int(self.fleet.podman("inspect", "--format={{.State.Pid}}", self.name).stdout)

    def kill(self) -> None:
        if self._pid is not None:
            self.fleet.podman("rm", "--force", "--time=0", self.name)
            self._pid = None
        _kill_all(self.namespace)


def _kill_all(namespace: str) -> None:
    """Kill every process in a network namespace, if there is one, and wait until none is left."""
    if not (NAMESPACES / namespace).exists():
        return
    began = time.monotonic()
    while True:
        pids = [int(pid) for pid in _command("ip", "netns", "pids", namespace).stdout.split()]
        if not pids:
            return
        if overdue(began, 20):
            raise NotReady("processes in %s do not end: %s" % (namespace, pids))
        send(pids, signal.SIGKILL)
        time.sleep(0.02)


# -- the fleet ---------------------------------------------------------------------------------------------------------


class Fleet:
    """Hosts on their own network, and the controller in it.

    hosts: by name; folder: everything of this fleet; address: the controller's; private_key_file: opens every host as root and as
    ADMIN; known_hosts_file: the hosts' keys, taken from their disks.
    """

    def __init__(
        self, folder: pathlib.Path, light: t.Sequence[str], systemd: t.Sequence[str], suite: str = SUITE, libraries: bool = False
    ) -> None:
        # Within 12 letters, and no other fleet's on this machine.
        self.id = "la%s" % secrets.token_hex(4)
        self.folder = folder
        self.suite = suite
        self.libraries = libraries
        self.namespace = self.id + "-hub"
        self.address = NETWORK % 1
        self.home = folder / "controller"
        self.private_key_file = str(folder / "controller_key")
        self.known_hosts_file = str(folder / "known_hosts")
        self.public_key = ""
        self.hosts: t.Dict[str, Host] = {}
        for number, name in enumerate([*light, *systemd], 11):
            self.hosts[name] = (SystemdHost if name in systemd else Host)(self, name, NETWORK % number)
        self.names = "127.0.0.1 localhost\n" + "".join("%s %s\n" % (host.address, host.name) for host in self.hosts.values())
        self._inventories = 0
        self._stack = contextlib.ExitStack()
        self._warm: t.Optional[WarmAnsible] = None
        self._sockets = str(_runtime(self.id) / "ssh")

    @property
    def wheelhouse(self) -> pathlib.Path:
        """A folder of wheels with the stores' libraries: the hosts have no internet."""
        return wheelhouse()

    def run(self, argv: t.Sequence[t.Any], **options: t.Any) -> subprocess.CompletedProcess[str]:
        """Run a command on the controller and return it with its output as text. ``options`` go to subprocess.run."""
        options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, **options}
        if "input" in options:
            del options["stdin"]
        return subprocess.run([*self._enter, *[str(each) for each in argv]], check=options.pop("check", False), **options)

    @property
    def _enter(self) -> t.List[str]:
        """The begin of a command line that runs on the controller."""
        return ["nsenter", "--net=%s" % (NAMESPACES / self.namespace), "--"]

    def within(self, function: t.Callable[[], t.Any]) -> t.Any:
        """Call ``function`` in a thread with the controller's sockets."""
        return within(self.namespace, function)

    @property
    def ssh_options(self) -> t.List[str]:
        """Options of ssh and sftp on the controller: this fleet's key and host keys, and nothing else."""
        options = ["UserKnownHostsFile=" + self.known_hosts_file, "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes"]
        return ["-F", "none", "-i", self.private_key_file, *["-o" + each for each in [*options, "IdentitiesOnly=yes", "BatchMode=yes"]]]

    def inventory(self, extra: t.Optional[t.Dict[str, t.Any]] = None, user: str = "root") -> pathlib.Path:
        """Write an inventory (JSON, which is YAML) of all hosts with how to reach them, ``extra`` merged into it; return its path."""
        variables = {
            "ansible_user": user,
            "ansible_ssh_private_key_file": self.private_key_file,
            "ansible_ssh_common_args": "-F none -o UserKnownHostsFile=%s -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes"
            " -o IdentitiesOnly=yes" % self.known_hosts_file,
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        hosts = {host.name: {"ansible_host": host.address} for host in self.hosts.values()}
        # Not for a play on the controller itself.
        document = {"all": {"children": {"lab": {"hosts": hosts, "vars": variables}}}}
        _merge(document, extra or {})
        self._inventories += 1
        path = self.folder / ("inventory-%d.yml" % self._inventories)
        path.write_text(json.dumps(document, indent=2), encoding="utf-8")
        return path

    def playbook(
        self,
        *arguments: t.Any,
        inventory: t.Optional[t.Union[str, os.PathLike[str]]] = None,
        env: t.Optional[t.Dict[str, str]] = None,
        pipelining: bool = True,
        collections: t.Optional[t.Union[str, os.PathLike[str]]] = None,
        **options: t.Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run ansible-playbook, of the environment that runs this, on the controller.

        arguments: a playbook's name or path and further arguments; inventory: ``inventory()`` by default; env: further variables;
        collections: where collections are, by default LOG_ARCHIVE_COLLECTIONS, else this checkout.
        """
        program = pathlib.Path(sys.executable).with_name("ansible-playbook")
        if not program.exists():
            raise Unavailable("no ansible-playbook beside %s" % sys.executable)
        # pytest states the present test in a variable.
        unused = ("ANSIBLE_", "AWS_", "PYTEST_CURRENT_TEST")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(unused)}
        environment.update(self.environment(pipelining, collections), **(env or {}))
        argv = [program, "--inventory", inventory or self.inventory(), *arguments]
        cwd = options.pop("cwd", self.home)
        if env is None and pipelining and collections is None and not set(options) - {"timeout"}:
            return self._warm_ansible(environment).run([str(each) for each in argv], str(cwd), **options)
        return self.run(argv, env=environment, cwd=cwd, **options)

    def _warm_ansible(self, environment: t.Mapping[str, str]) -> WarmAnsible:
        """The process that has imported Ansible with this environment, which seldom changes."""
        if self._warm is None or self._warm.environment != environment:
            if self._warm is not None:
                self._warm.close()
            self._warm = WarmAnsible(self._enter, environment, self.folder / "warm-ansible.log")
        return self._warm

    def environment(self, pipelining: bool = True, collections: t.Optional[t.Union[str, os.PathLike[str]]] = None) -> t.Dict[str, str]:
        """The variables with which Ansible runs on the controller."""
        found = collections or os.environ.get("LOG_ARCHIVE_COLLECTIONS") or CHECKOUT / "build" / "collections"
        return {
            **quick_ansible.environment(self._hosts_python),
            "HOME": str(self.home),
            "PATH": os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "ANSIBLE_HOME": str(self.home / ".ansible"),
            "ANSIBLE_LOCAL_TEMP": str(self.home / ".ansible" / "tmp"),
            "ANSIBLE_COLLECTIONS_PATH": os.path.abspath(found),
            # As Ansible's own, but without compression: the hosts are on this machine.
            "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": self._sockets,
            "ANSIBLE_HOST_KEY_CHECKING": "1",
            "ANSIBLE_PIPELINING": "1" if pipelining else "0",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_TIMEOUT": "60",
            "ANSIBLE_RETRY_FILES_ENABLED": "0",
        }

    @property
    def _hosts_python(self) -> t.List[str]:
        """How to run the Python of the hosts, if it is not the version of this one."""
        if (self.suite, "%d.%d" % sys.version_info[:2]) == (SUITE, PYTHON):
            return []
        host = next(iter(self.hosts.values()))
        return [need_program("chroot", "coreutils"), str(root_filesystem(host.packages, self.suite)), "/usr/bin/python3"]

    def swift(self) -> S3Server:
        """Start Swift's S3 API on the controller's address; it ends with the fleet, or by its ``stop``."""
        folder = self.folder / ("swift-%s" % secrets.token_hex(3))
        return self._stack.enter_context(swift_s3(folder, host=self.address, namespace=self.namespace))

    def forget_connections(self) -> None:
        """Let Ansible open new connections: one that it kept to a host that was switched off would hang."""
        for name in os.listdir(self._sockets):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._sockets, name))

    def podman(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Podman on a storage of this fleet's own."""
        return _podman(self.id, *arguments)

    def open(self) -> None:
        """Make and start everything."""
        self.home.mkdir(parents=True, mode=0o700, exist_ok=True)
        os.makedirs(self._sockets, mode=0o700)
        self.public_key = new_key(self.private_key_file, "controller")
        _command("ip", "netns", "add", self.namespace)
        for change in ("link set lo up", "link add br0 type bridge", "addr add %s/24 dev br0" % self.address, "link set br0 up"):
            _command("ip", "-n", self.namespace, *change.split())
        for host in self.hosts.values():
            host.create()
        with open(self.known_hosts_file, "w", encoding="ascii") as stream:
            for host in self.hosts.values():
                stream.writelines("%s,%s %s\n" % (host.name, host.address, key) for key in host.host_keys)
        for host in self.hosts.values():
            host.launch()
        for host in self.hosts.values():
            host.wait_ready()

    def close(self) -> None:
        """Stop and remove everything but the folder's small files."""
        try:
            self._stack.close()
            if self._warm is not None:
                self._warm.close()
            for host in self.hosts.values():
                host.kill()
        finally:
            _remove(self.id, self.folder)


def _merge(into: t.Dict[str, t.Any], extra: t.Dict[str, t.Any]) -> None:
    for name, value in extra.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value


def _runtime(fleet_id: str) -> pathlib.Path:
    """A fleet's folder for sockets and Podman's state: a socket's path is at most 107 bytes, Podman's 50, and a test's folder is long."""
    return pathlib.Path("/run") / fleet_id


def _podman(fleet_id: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = need_program("podman", "podman")
    need_program("runc", "runc")
    base = _runtime(fleet_id) / "podman"
    base.mkdir(exist_ok=True)
    configuration = base / "containers.conf"
    configuration.write_text(CONTAINERS_CONF, encoding="ascii")
    own = ["--root=%s" % (base / "root"), "--runroot=%s" % (base / "run"), "--tmpdir=%s" % (base / "tmp"), "--storage-driver=vfs"]
    return _command(program, *own, *arguments, env=dict(os.environ, CONTAINERS_CONF=str(configuration)), stdin=subprocess.DEVNULL)


def _remove(fleet_id: str, folder: pathlib.Path) -> None:
    """Take a fleet away, also that of another process which was killed."""
    if (_runtime(fleet_id) / "podman").exists():
        _podman(fleet_id, "rm", "--force", "--all", "--time=0")
    names = sorted(name for name in os.listdir(NAMESPACES) if name.startswith(fleet_id + "-")) if NAMESPACES.exists() else []
    for name in names:
        _kill_all(name)
    with open("/proc/self/mountinfo", encoding="utf-8") as stream:
        mounted = [line.split()[4].replace("\\040", " ") for line in stream]
    for each in reversed(mounted):
        if each.startswith(("%s/" % folder, "%s/" % _runtime(fleet_id))):
            _command("umount", "--lazy", each)
    for name in names:
        _command("ip", "netns", "delete", name)
    shutil.rmtree(_runtime(fleet_id), ignore_errors=True)
    for host in (folder / "hosts").glob("*"):
        for each in ("disk", "work"):
            shutil.rmtree(host / each, ignore_errors=True)


@contextlib.contextmanager
def _recorded(fleet_id: str, folder: pathlib.Path) -> t.Iterator[t.Callable[[], None]]:
    """Record this fleet, and remove recorded fleets if their process has ended; yields a function that removes the record."""
    records = CACHE / "running"
    with contextlib.ExitStack() as stack:
        with _locked("running"):
            records.mkdir(exist_ok=True)
            for path in records.iterdir():
                with open(path, encoding="utf-8") as stream:
                    try:
                        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        continue
                    _remove(path.name, pathlib.Path(stream.read()))
                    path.unlink()
            own = stack.enter_context(open(records / fleet_id, "w", encoding="utf-8"))
            fcntl.flock(own, fcntl.LOCK_EX)
            own.write(str(folder))
            own.flush()
        yield (records / fleet_id).unlink


@contextlib.contextmanager
def fleet(
    folder: t.Union[str, os.PathLike[str]],
    light: t.Sequence[str] = (),
    systemd: t.Sequence[str] = (),
    suite: str = SUITE,
    libraries: bool = False,
) -> t.Iterator[Fleet]:
    """Run hosts with these names until the context ends.

    folder: for the hosts' disks and the controller's home, on a file system that can carry an overlay; new or empty.
    suite: the Debian release of the hosts. libraries: whether they already have what the role dependencies installs in a virtualenv.
    The first fleet on a machine makes the root file systems, which needs the network and takes about half a minute.
    """
    if os.geteuid() != 0:
        raise Unavailable("hosts in their own namespaces need root")
    for program, package in (("ip", "iproute2"), ("unshare", "util-linux"), ("nsenter", "util-linux"), ("setpriv", "util-linux")):
        need_program(program, package)
    made = Fleet(pathlib.Path(os.path.abspath(os.fspath(folder))), light, systemd, suite, libraries)
    made.folder.mkdir(parents=True, exist_ok=True)
    with _recorded(made.id, made.folder) as forget:
        try:
            made.open()
            yield made
        finally:
            # What cannot be removed now stays recorded for the next fleet.
            made.close()
            forget()
