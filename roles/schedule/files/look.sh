# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Prints the facts about the schedule of a host, one per line. Arguments: folder of units, mark of this role's files, units that should be
# active.
units=$1 mark=$2
shift 2
# Every cron has this command; the name of the daemon differs.
test -e /usr/bin/crontab && echo 'crontab'
# Only files with the mark: others may have a unit of a similar name.
grep -lsF "# $mark" "$units"/log-archive-*.service "$units"/log-archive-*.timer | sed 's/^/unit /'
if command -v systemctl >/dev/null; then
    for unit; do
        systemctl is-active --quiet "$unit" 2>/dev/null && systemctl is-enabled --quiet "$unit" 2>/dev/null && echo "started $unit"
    done
else
    # Without systemd: started at boot by a link in a runlevel, and its script reports that it runs.
    for unit; do
        script=/etc/init.d/${unit%.service}
        test -x "$script" && ls /etc/rc[2345].d/S[0-9][0-9]"${script##*/}" >/dev/null 2>&1 && "$script" status >/dev/null 2>&1 \
            && echo "started $unit"
    done
fi
exit 0
