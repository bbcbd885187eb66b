# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Prints the facts about what would be lost with a host, one per line. Arguments: spool, folder of the state, keyring.
spool=$1 state=$2 keyring=$3
# Prints the paths that find finds in a folder, after a word.
report() {
    word=$1
    shift
    test -d "$1" || return 0
    paths=$(find "$@" -type f -print) || exit
    test -z "$paths" || printf '%s\n' "$paths" | sed "s/^/$word /"
}
test -e "$keyring" || test -L "$keyring" && echo 'keyring'
report waiting "$spool/" -name '*.manifest.json' ! -name '.*'
report state "$state/" ! -name 'catalog.sqlite*' ! -name '*.lock' ! -name '*.json' ! -name '*.ledger' ! -name '*.ledger.head' \
    ! -name '*.ledger.key' ! -name '*.ledger.next.key' ! -name '*.ledger.sent'
exit 0
