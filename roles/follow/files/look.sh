# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Prints the facts about the followers of a host, one per line. Arguments: folder of units, mark of this role's files, the installed engine,
# the command, the folder of stream documents, units that should be active.
units=$1 mark=$2 engine=$3 command=$4 config=$5
shift 5
test -e "$command" && echo 'command'
test -d "$config" && echo 'config'
grep -lsF "# $mark" "$units"/log-archive-follow@*.service | sed 's/^/unit /'
if command -v systemctl >/dev/null; then
    # The time of the change of the folder is that of the installation.
    installed=$(stat -c %Z "$engine" 2>/dev/null || echo 0)
    for unit; do
        systemctl is-active --quiet "$unit" 2>/dev/null && systemctl is-enabled --quiet "$unit" 2>/dev/null && echo "started $unit"
        began=$(systemctl show --property=ExecMainStartTimestamp --value "$unit" 2>/dev/null)
        status=$(systemctl show --property=StatusText --value "$unit" 2>/dev/null)
        # Only the status of a follower with a sink that is down has this text.
        case $status in *' is down: '*) echo "down $unit $status" ;; esac
        test -n "$began" && test "$(date -d "$began" +%s)" -lt "$installed" && echo "old $unit"
    done
fi
exit 0
