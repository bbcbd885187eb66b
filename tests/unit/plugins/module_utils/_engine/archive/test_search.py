# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Search in an archive: the lines, their numbers and their context, however the log is cut into pieces, compressed or damaged."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import os
import pathlib
import random
import tarfile
import tracemalloc
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import compressed, search as searching
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.create import Contents, create_archive
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.patterns import Wanted
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.search import Hits, Line
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, IntegrityError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.files import source_at
from rigs.archives import ENVELOPE, PERIOD

fernet = pytest.importorskip("cryptography.fernet")


def token_of(logs: t.Mapping[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=1) as tar:
        for name, content in logs.items():
            member = tarfile.TarInfo(name)
            member.type = kind
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return fernet.Fernet(base64.urlsafe_b64encode(bytes(32))).encrypt(data.getvalue())


def search(token: bytes, pattern: str, **options: t.Any) -> t.List[Hits]:
    wanted = Wanted(pattern, **options)
    return list(searching.search(io.BytesIO(token), ENVELOPE, "x.tgz", searching.check(wanted), wanted))


def found(content: bytes, pattern: str, **options: t.Any) -> t.List[Line]:
    return [line for hits in search(token_of({"a.log": content}), pattern, **options) for line in hits.lines]


def grep(content: bytes, word: bytes, context: int) -> t.List[t.Tuple[int, bytes, bool]]:
    """What ``grep -n -C context`` prints."""
    lines = content.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    matched = {number for number, line in enumerate(lines) if word in line}
    shown = {near for number in matched for near in range(number - context, number + context + 1) if 0 <= near < len(lines)}
    return [(number + 1, lines[number], number in matched) for number in sorted(shown)]


@pytest.mark.parametrize("context", [0, 1, 3])
def test_lines_across_blocks_have_their_numbers_and_their_context(context: int) -> None:
    generator = random.Random(context)
    words = [b"", b"x", b"hit", b"a line that is a bit longer than the others", b"hit again"]
    pattern = searching.check(Wanted("hit", context=context))
    for _round in range(150):
        content = b"\n".join(generator.choices(words, [3, 9, 1, 3, 1], k=generator.randint(0, 40))) + generator.choice([b"", b"\n"])
        lines = searching._Lines(pattern, Wanted("hit", context=context), lambda _begin: None)
        kept: t.List[Line] = []
        at = 0
        while at < len(content):
            size = generator.randint(1, 60)
            lines.feed(content[at : at + size])
            kept += [line for hits in lines.taken("a") for line in hits.lines]
            at += size
        lines.finish()
        kept += [line for hits in lines.taken("a") for line in hits.lines]
        assert [(line.number, line.text, line.matched) for line in kept] == grep(content, b"hit", context), content


def test_every_log_of_an_archive_is_searched(tmp_path: pathlib.Path) -> None:
    paths = []
    for name, content in (("a.log", b"one\ntwo\n"), ("b.log", b"x" * 300000 + b"\n" + b"y\n" * 70000 + b"one more"), ("c.log", b"")):
        (tmp_path / name).write_bytes(content)
        paths.append(source_at(str(tmp_path / name), PERIOD))
    made = create_archive(str(tmp_path / "to" / "x.tgz"), Contents(paths, "h", "j", PERIOD), ENVELOPE)
    assert made.manifest["job"] == "j"
    hits = search((tmp_path / "to" / "x.tgz").read_bytes(), "one")
    assert [(os.path.basename(hit.name), [(line.number, line.text) for line in hit.lines], hit.matched) for hit in hits] == [
        ("a.log", [(1, b"one")], 1),
        ("b.log", [(70002, b"one more")], 1),
    ]


def test_lines_are_only_counted_on_request() -> None:
    hits = search(token_of({"a": b"one\ntwo\n" * 50000, "b": b"two\n"}), "one", only_count=True)
    assert sum(hit.matched for hit in hits) == 50000
    assert {hit.name for hit in hits} == {"a"}
    assert [line for hit in hits for line in hit.lines] == []


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"])
def test_a_compressed_log_is_searched_inside(compress: t.Callable[[bytes], bytes]) -> None:
    content = os.urandom(300000).replace(b"\n", b"") + b"\nthe needle\n"
    assert found(compress(content), "need") == [Line(2, b"the needle")]
    two = compress(b"first\n") + compress(content)
    assert found(two, "need") == [Line(3, b"the needle")]
    cut = search(token_of({"a": compress(b"the needle\n" + content)[:-20000], "b": b"needle\n"}), "needle")
    assert [(hit.name, [line.number for line in hit.lines]) for hit in cut if hit.lines][-1] == ("b", [1])
    assert [str(hit.error) for hit in cut if hit.error] == [
        "a: the %s file in the archive is truncated" % compressed._format_of(compress(b"x"), compressed._KNOWN)
    ]


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress], ids=["gzip", "xz", "bzip2"])
def test_a_compressed_log_of_absurd_size_is_given_up_in_bounded_memory(
    compress: t.Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed, "LEAST_BOUND", 8 << 20)
    monkeypatch.setattr(compressed, "MOST_RATIO", 10)
    token = token_of({"bomb": compress(bytes(20 << 20)), "b": b"needle\n"})
    tracemalloc.start()
    try:
        hits = search(token, "needle")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert [str(hit.error) for hit in hits if hit.error] == [
        "bomb: the %s file in the archive has more than 8.0 MiB uncompressed" % compressed._format_of(compress(b"x"), compressed._KNOWN)
    ]
    assert [hit.name for hit in hits if hit.lines] == ["b"]


@pytest.mark.parametrize("end", ["truncated", "damaged"])
def test_what_a_compressed_log_has_before_its_damage_is_searched(end: str) -> None:
    whole = gzip.compress(b"the needle\n" + os.urandom(30000))
    data = whole[:-10000] if end == "truncated" else whole + b"something else"
    hits = search(token_of({"a": data}), "needle")
    assert [line.number for hit in hits for line in hit.lines] == [1]
    assert [end in str(hit.error) for hit in hits if hit.error] == [True]


def test_a_damaged_compressed_log_is_reported_and_the_others_are_searched() -> None:
    data = bytearray(gzip.compress(os.urandom(50000), 1))
    data[20000] ^= 255
    hits = search(token_of({"a": bytes(data), "b": b"needle\n"}), "needle")
    assert [hit.name for hit in hits if hit.error is not None] == ["a"]
    assert [hit.name for hit in hits if hit.lines] == ["b"]


def test_a_log_in_an_unknown_format_is_reported() -> None:
    hits = search(token_of({"a.zst": b"\x28\xb5\x2f\xfd" + bytes(200000), "b": b"needle\n"}), "needle")
    assert "is a zstd file, and was not searched inside" in str(hits[0].error)
    assert [hit.name for hit in hits if hit.lines] == ["b"]


def test_bytes_that_are_not_text_are_searched_as_bytes() -> None:
    content = b"\0\0needle\xff\0\n\xc3\xa9t\xc3\xa9\r\n\x1b[2Jneedle"
    assert [line.text for line in found(content, "needle")] == [b"\0\0needle\xff\0", b"\x1b[2Jneedle"]
    assert found(content, "^\u00e9t.\u00e9?") == [Line(2, "\u00e9t\u00e9".encode())]
    assert found(content, "\udcff") == [Line(1, b"\0\0needle\xff\0")]


def test_of_a_long_line_the_part_with_the_match_is_kept() -> None:
    (line,) = found(b"short\n" + b"x" * 100000 + b"needle" + b"y" * 100000 + b"\n", "needle")
    assert (line.number, line.cut, len(line.text)) == (2, True, searching.MOST_SHOWN)
    assert b"xneedley" in line.text


def test_a_line_longer_than_the_bound_is_searched_in_parts_and_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "LONGEST_LINE", 200000)
    content = b"first\n" + (b"x" * 200000 + b"needle") * 5 + b"\nneedle\nlast\n"
    lines = found(content, "needle", context=1)
    assert [(line.number, line.matched) for line in lines if line.matched] == [(2, True), (3, True)]
    assert lines[-1] == Line(4, b"last", False)


def test_a_log_with_holes_is_searched_where_it_has_data(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "sparse.log"
    with open(log, "wb") as file:
        file.write(b"needle 1\nstart ")
        file.seek(64 << 20)
        file.write(b" end\nneedle 2\n")
        file.truncate(1 << 33)
    if log.stat().st_blocks * 512 > 1 << 20:
        pytest.skip("this file system has no holes")
    create_archive(str(tmp_path / "to" / "x.tgz"), Contents([source_at(str(log), PERIOD)], "h", "j", PERIOD), ENVELOPE)
    token = (tmp_path / "to" / "x.tgz").read_bytes()
    lines = [line for pattern in ("needle", "start") for hit in search(token, pattern) for line in hit.lines]
    assert [line.number for line in lines] == [1, 3, 2]
    assert search(token, "start  ?end") == []


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE], ids=["hard-link", "symbolic-link", "device"])
def test_an_archive_with_other_members_than_files_is_refused(kind: bytes) -> None:
    with pytest.raises(IntegrityError, match="refused"):
        search(token_of({"a": b""}, kind), "needle")


def test_a_search_that_is_left_early_leaves_no_thread() -> None:
    import threading

    before = threading.active_count()
    wanted = Wanted("needle")
    token = token_of({"a": b"needle\n" + os.urandom(8 << 20)})
    results = searching.search(io.BytesIO(token), ENVELOPE, "x.tgz", searching.check(wanted), wanted)
    assert next(results).matched
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


@pytest.mark.parametrize("options", [{"context": 101}, {"context": -1}, {"most": 0}], ids=["context", "negative", "none"])
def test_a_search_that_cannot_be_made_is_refused(options: t.Dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="it must be"):
        searching.check(Wanted("a", **options))
