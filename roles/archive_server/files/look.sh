# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Prints the facts about an account on the archive server, one per line. Arguments: account, its folder, its file of public keys, sshd,
# folder of its prune documents, command that prunes.
getent passwd "$1" | sed 's/^/passwd /'
# Not the field itself, because it may be a password hash.
test "$(getent shadow "$1" | cut -d: -f2)" = '*' && echo 'password none'
id -nG "$1" 2>/dev/null | sed 's/^/groups /'
stat -c 'chroot %U:%G:%a' "$2" 2>/dev/null
stat -c 'archive %U:%G:%a' "$2/archive" 2>/dev/null
stat -c 'authorized %U:%G:%a' "$3" 2>/dev/null
sed 's/^/authorized /' "$3" 2>/dev/null
test -e "$5" && echo 'documents'
test -e "$6" && echo 'prunes'
sed 's/^/key /' /etc/ssh/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_ecdsa_key.pub /etc/ssh/ssh_host_rsa_key.pub 2>/dev/null
if id "$1" >/dev/null 2>&1; then
    "$4" -T -C "user=$1,host=localhost,addr=127.0.0.1" | sed 's/^/sshd /'
fi
exit 0
