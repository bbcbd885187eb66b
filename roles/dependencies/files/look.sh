# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Prints the facts about the virtualenv of a host, one per line. Arguments: interpreter, virtualenv, its parent folder, the text of probe.py,
# requirements.
python=$1 venv=$2 prefix=$3 probe=$4
shift 4
if test -e "$python"; then
    found=$("$python" -I -c "$probe" "$@") || exit
    echo "python $found"
fi
# If the virtualenv's interpreter no longer starts, nothing is printed, and the virtualenv is recreated.
if test -e "$venv/bin/python"; then
    echo "venv $("$venv/bin/python" -I -c "$probe" 'pip>=1' "$@" 2>/dev/null)"
fi
echo "prefix $(stat -c '%u:%g:%a' "$prefix" 2>/dev/null)"
