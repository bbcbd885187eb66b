# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Prints the facts about a host, one per line: missing programs, whether it has IPv6, and what is wrong with the files that are given.
# Arguments: KIND PATH ..., with certificate, key or client_ca as the kind. A file that is missing is left to nginx, which names it: in check
# mode an earlier task of the play may have to create it.
PATH="$PATH:/usr/sbin:/sbin"
for program in nginx openssl; do
    command -v "$program" >/dev/null || echo "missing $program"
done
if test -e /proc/net/if_inet6; then echo "ipv6"; fi
while test $# -gt 0; do
    kind=$1 path=$2
    shift 2
    test -f "$path" || continue
    case $kind in
    key)
        mode=$(stat -L -c %a "$path")
        case 0$mode in
        *[0145]0) ;;
        *) echo "wrong web_source_key $path can be read or changed by other users (mode $mode); run: chmod 600 $path" ;;
        esac
        ;;
    *)
        # A program that is missing is installed later; nginx then checks what it can.
        command -v openssl >/dev/null || continue
        # Of a bundle of authorities some may have expired.
        test "$kind" = certificate || test "$(grep -c 'BEGIN CERTIFICATE' "$path")" = 1 || continue
        if openssl x509 -in "$path" -noout 2>/dev/null && ! openssl x509 -in "$path" -noout -checkend 0 >/dev/null; then
            echo "wrong web_source_$kind $path has expired ($(openssl x509 -in "$path" -noout -enddate))"
        fi
        ;;
    esac
done
