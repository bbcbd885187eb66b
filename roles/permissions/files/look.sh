# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Prints the facts about the user of a host, one per line. Arguments: user, keyring, folder of job documents, spool, folder of the state, folders
# of stores. A place is named by its number, because a line cannot hold every path.
user=$1 keyring=$2 config=$3
shift 3
getent passwd "$user" | sed 's/^/passwd /'
test -e "$keyring" && echo 'keyring'
test -n "$(ls -A "$config" 2>/dev/null)" && echo 'documents'
number=0
for place; do
    number=$((number + 1))
    test -d "$place" || continue
    own=$(stat -c %U "$place") || exit
    test "$own" = "$user" && echo "own $number"
    # A store that belongs to another user stays, whatever it has.
    if test "$own" = "$user" || test "$number" -le 2; then
        file=$(find "$place/" -type f -print -quit) || exit
        test -n "$file" && echo "data $number"
    fi
done
exit 0
