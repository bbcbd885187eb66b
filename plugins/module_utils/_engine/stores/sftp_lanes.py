# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing one file through several SFTP channels of a connection.

A server grants each channel a window of bytes (2 MiB with OpenSSH) that may be on their way, so one channel moves at most one window in a
round trip: 40 MB/s at 50 ms, whatever the line can carry.
"""

from __future__ import annotations

import contextlib
import struct
import typing as t

from ..base.errors import StoreDeniedError
from . import sftp_packets as packets
from .sftp_packets import PacketChannel, Status, expect, pack_bytes

CHANNEL_WINDOW = 2 << 20
"""Bytes that OpenSSH lets be on their way on one channel."""
FAR = 0.01
"""Seconds of a round trip from which on the window of a channel is the limit. Nearer, it is the processors."""
MOST_LANES = 4
"""sshd allows 10 sessions on a connection (MaxSessions), and this one may also run a command."""
OPENING = 4
"""Round trips to open a lane: a channel, SFTP on it, its version, the file."""


class Lane(t.NamedTuple):
    """A channel, and the handle of the file on it."""

    channel: PacketChannel
    handle: bytes


def wanted(size: int, round_trip: float) -> int:
    """How many lanes are the fastest for so many bytes. round_trip: in seconds."""
    if round_trip < FAR:
        return 1
    windows = size / CHANNEL_WINDOW
    return min(range(1, MOST_LANES + 1), key=lambda count: OPENING * (count - 1) + windows / count)


@contextlib.contextmanager
def opened(first: Lane, path: str, count: int) -> t.Iterator[t.List[Lane]]:
    """``count`` lanes to the file ``path``, or fewer if the server does not allow as many. first: is there already, and stays.

    Raises Status if a lane cannot be closed: the server could not keep what was written.
    """
    lanes = [first]
    with contextlib.ExitStack() as stack:
        for _number in range(count - 1):
            try:
                channel = PacketChannel(first.channel.login, first.channel.connection)
                stack.callback(channel.close)
                lanes.append(Lane(channel, channel.open_file(path, packets.FLAG_WRITE)))
            except (Status, StoreDeniedError):
                break
        yield lanes
        for lane in lanes[1:]:
            lane.channel.request(packets.CLOSE, pack_bytes(lane.handle))


def write(
    lanes: t.Sequence[Lane],
    read: t.Callable[[int], bytes],
    offset: int,
    size: int,
    most: int,
    window: int,
    progress: t.Callable[[int, int], None],
) -> None:
    """Send the bytes from ``offset`` up to ``size`` to the same offsets of the file, ``window`` bytes ahead of the answers.

    read: returns the next bytes, at most so many. most: bytes of one request. progress: called for each write that the server confirmed,
    with its bytes and the offset before which all are confirmed. After a refused write nothing more is sent, and Status is raised once
    all answers are in: the channels can still be used.
    """
    first = lanes[0].channel
    waiting: t.Dict[t.Tuple[int, int], t.Tuple[int, int]] = {}
    refused: t.List[Status] = []
    in_flight = 0
    start = offset
    turn = 0

    def settle() -> int:
        """Take an answer on the lane that has waited longest."""
        lane = next(iter(waiting))[0]
        number, kind, reader = lanes[lane].channel.answer()
        if (lane, number) not in waiting:
            raise lanes[lane].channel.not_sftp()
        _first, count = waiting.pop((lane, number))
        try:
            expect(kind, reader, packets.STATUS)
            progress(count, start if refused else min((first for first, _count in waiting.values()), default=offset))
        except Status as status:
            refused.append(status)
        return count

    with first.connection.deadline(first.login.timeout):
        while offset < size and not refused:
            channel, handle = lanes[turn]
            data = read(min(most, size - offset))
            number = channel.next_number()
            head = struct.pack(">BI", packets.WRITE, number) + pack_bytes(handle) + struct.pack(">QI", offset, len(data))
            channel.send_in_pieces(struct.pack(">I", len(head) + len(data)) + head, data)
            waiting[turn, number] = (offset, len(data))
            offset += len(data)
            in_flight += len(data)
            turn = (turn + 1) % len(lanes)
            while in_flight > window:
                in_flight -= settle()
        while waiting:
            settle()
    if refused:
        raise refused[0]
