#!/bin/sh
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Install the Debian packages that the tests' real parts need, those that are missing only.
set -eu
PATH="$PATH:/usr/sbin:/sbin"

missing=""
need() { # PACKAGE PROGRAM...: the package is missing unless every program is there
    package=$1
    shift
    for program in "$@"; do
        if ! command -v "$program" >/dev/null; then
            missing="$missing $package"
            return
        fi
    done
}
need openssh-server sshd
need openssh-client ssh-keygen sftp
need openssh-sftp-server /usr/lib/openssh/sftp-server
# Errors of system calls on request.
need fiu-utils fiu-run
need openssl openssl
need pigz pigz
# Opens archives for recipients without this software.
need age age age-keygen
need logrotate logrotate
# A program that is called as sendmail is, without the mail server of this machine.
need msmtp msmtp
need shellcheck shellcheck
# Shells that complete the command, and what shows its manual page.
need zsh zsh
need fish fish
need man-db man
need proftpd-core proftpd
[ -e /usr/lib/proftpd/mod_sftp.so ] || missing="$missing proftpd-mod-crypto"
# A cron with its own clock (lab/cron.py).
need cron cron
set -- /usr/lib/*/faketime/libfaketime.so.1
[ -e "$1" ] || missing="$missing libfaketime"
# Scrapes our metrics, and tests our alerts.
need prometheus prometheus promtool
need prometheus-node-exporter prometheus-node-exporter
# Reads the calendar of a timer as systemd does.
need systemd systemd-analyze
# Makes journal files, for streams that follow the journal.
[ -x /lib/systemd/systemd-journal-remote ] || missing="$missing systemd-journal-remote"
# Databases that streams are followed into (lab/databases.py).
need mariadb-server mariadbd mariadb-install-db
[ -e /usr/lib/postgresql ] || missing="$missing postgresql"
# Search servers, which are made of their jars (lab/search), and TLS and logins in front of them.
need openjdk-17-jdk-headless java javac
need maven mvn
need nginx-light nginx
# Hosts in their own namespaces (lab/fleet.py).
need mmdebstrap mmdebstrap
need iproute2 ip
need util-linux nsenter setpriv unshare
need mount mount umount
# Shows the statistics page.
need chromium chromium
need podman podman
need runc runc

[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "These tests need the packages$missing (Debian's names). Install them as root: apt-get install$missing" >&2
    exit 1
fi
echo "Installing$missing"
# RUNLEVEL=1: the services of these packages are not started; each test starts its own server.
export RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive
# Another apt may run, on a machine that was just started, and a mirror may fail once.
patient="-o DPkg::Lock::Timeout=300 -o Acquire::Retries=5"
# shellcheck disable=SC2086
apt-get $patient update -qq
# shellcheck disable=SC2086
apt-get $patient install -qq -y --no-install-recommends $missing >/dev/null
