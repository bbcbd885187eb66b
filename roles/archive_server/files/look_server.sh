# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Prints the facts about the server, one per line. Arguments: sshd, the folders above the archives separated by ':', units that should be
# active.
test -e "$1" && echo 'sshd'
# Every cron has this command; the name of the daemon differs.
test -e /usr/bin/crontab && echo 'crontab'
grep -qiE '^[[:space:]]*Include[[:space:]].*sshd_config\.d/\*' /etc/ssh/sshd_config 2>/dev/null && echo 'includes'
grep -qs '^# BEGIN infra_ops.log_archive' /etc/ssh/sshd_config && echo 'block'
# Folders that other users than root can write to.
IFS=:
for folder in $2; do
    test -e "$folder" || continue
    case "$(stat -L -c '%u:%A' "$folder")" in
        0:d????-??-*) ;;
        *) echo "open $folder" ;;
    esac
done
shift 2
if command -v systemctl >/dev/null; then
    for unit; do
        systemctl is-active --quiet "$unit" 2>/dev/null && systemctl is-enabled --quiet "$unit" 2>/dev/null && echo "started $unit"
    done
fi
exit 0
