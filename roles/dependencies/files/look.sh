# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# What a host has for the virtualenv, one fact per line. Arguments: interpreter, virtualenv, folder above it, probe.py as text, requirements.
python=$1 venv=$2 prefix=$3 probe=$4
shift 4
if test -e "$python"; then
    found=$("$python" -I -c "$probe" "$@") || exit
    echo "python $found"
fi
# One that does not start any more says nothing, and is made anew.
if test -e "$venv/bin/python"; then
    echo "venv $("$venv/bin/python" -I -c "$probe" 'pip>=1' "$@" 2>/dev/null)"
fi
echo "prefix $(stat -c '%u:%g:%a' "$prefix" 2>/dev/null)"
