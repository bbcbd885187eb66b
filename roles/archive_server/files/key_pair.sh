# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Creates the key pair of a host if it is missing, except in check mode. Then prints the facts about it, one per line.
# Arguments: its folder, its comment, "check" or "make".
key=$1/id_ed25519
if ! test -e "$key"; then
    echo 'made'
    test "$3" = make || exit 0
    ssh-keygen -q -t ed25519 -N '' -C "$2" -f "$key" || exit
fi
sed 's/^/public /' "$key.pub" && sed 's/^/known /' "$1/known_hosts" 2>/dev/null
exit 0
