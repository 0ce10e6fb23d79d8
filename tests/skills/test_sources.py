"""Importing from files, folders, archives and addresses."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcpgw.skills.archives import LARGEST_ARCHIVE, LARGEST_UNPACKED, MOST_MEMBERS, read_archive
from mcpgw.skills.loading import gather
from mcpgw.skills.model import LARGEST, MOST_AUXILIARIES, SkillError
from mcpgw.skills.sources import fetch_source, read_source
from tests.skills.making import tarred, text_of, write, zipped

MANY = {
    "one/SKILL.md": text_of("one"),
    "one/reference.md": "More.\r\n",
    "one/resources/b.md": "b",
    "one/resources/a.md": "a",
    "one/resources/deep/c.md": "c",
    "one/resources/run.sh": "rm -rf /",
    "group/two/SKILL.md": text_of("two"),
    ".hidden/three/SKILL.md": text_of("three"),
    "one/inner/SKILL.md": text_of("inner"),
}


def fault(path: Path) -> str:
    with pytest.raises(SkillError) as caught:
        read_source(path)
    return str(caught.value)


def refusal(data: bytes) -> str:
    with pytest.raises(SkillError) as caught:
        read_archive(data, "a.zip")
    return str(caught.value)


def test_a_file(tmp_path: Path) -> None:
    """A single file gives its text, its source and its hash."""
    write(tmp_path, {"SKILL.md": text_of("one"), "reference.md": "More."})
    (skill,) = read_source(tmp_path / "SKILL.md").skills
    assert ("one", {}, str(tmp_path / "SKILL.md")) == (
        skill.name,
        skill.auxiliary,
        skill.source_path,
    )


def test_a_folder_of_many(tmp_path: Path) -> None:
    """Each folder with a SKILL.md is a skill with its files; those inside of one are files."""
    gathered = read_source(write(tmp_path, MANY))
    assert ["two", "one", "three"] == [skill.name for skill in gathered.skills]
    assert {
        "inner/SKILL.md": text_of("inner"),
        "reference.md": "More.\n",
        "resources/a.md": "a",
        "resources/b.md": "b",
        "resources/deep/c.md": "c",
        "resources/run.sh": "rm -rf /",
    } == dict(gathered.skills[1].auxiliary)
    assert () == gathered.problems


def test_the_hash_is_what_a_shell_prints(tmp_path: Path) -> None:
    """The content hash is the SHA-256 of what `sha256sum` prints of the skill's files."""
    write(tmp_path, MANY)
    (skill,) = read_source(tmp_path / "one").skills
    files = ["SKILL.md", *skill.files]
    assert "resources/run.sh" in files
    listing = "".join(
        f"{hashlib.sha256((tmp_path / 'one' / file).read_bytes()).hexdigest()}  {file}\n"
        for file in files
    )
    assert f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}" == skill.content_hash


@pytest.mark.process
def test_the_hash_by_a_real_shell(tmp_path: Path) -> None:
    """A person can check the hash with the tool of the system."""
    write(tmp_path, MANY)
    (tmp_path / "one/inner/SKILL.md").unlink()
    (tmp_path / "one/image.png").write_bytes(b"\x89PNG\0")
    (skill,) = read_source(tmp_path / "one").skills
    line = (
        "{ echo SKILL.md; find . -type f ! -name SKILL.md | sed s:./:: | LC_ALL=C sort; }"
        " | xargs sha256sum | sha256sum"
    )
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path / "one", capture_output=True, check=True, text=True
    )
    assert skill.content_hash == f"sha256:{done.stdout.split()[0]}"


def test_one_bad_skill_among_many(tmp_path: Path) -> None:
    """An invalid skill is reported, and the others are read."""
    write(
        tmp_path,
        {**MANY, "bad/SKILL.md": "no front matter", "copy/SKILL.md": text_of("two", "Other.")},
    )
    gathered = read_source(tmp_path)
    assert {"one", "two", "three"} == {skill.name for skill in gathered.skills}
    told = [str(problem) for problem in gathered.problems]
    assert any("bad/SKILL.md:1: must start with" in text for text in told)
    assert any("the name 'two' is already used by" in text for text in told)


def test_nothing_there(tmp_path: Path) -> None:
    """A missing path, an empty folder and a FIFO give different errors."""
    assert "no such file or folder" in fault(tmp_path / "nothing")
    assert "contains no SKILL.md" in fault(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in fault(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["SKILL.md", "reference.md", "resources/secret.md"])
def test_links_out_of_a_skill(tmp_path: Path, name: str) -> None:
    """A link that leads out of the skill's folder is refused, whichever file it is."""
    (tmp_path / "secret").write_text(text_of("stolen"))
    skill = write(tmp_path / "skill", {"SKILL.md": text_of("one"), "resources/x.md": "x"})
    (skill / name).unlink(missing_ok=True)
    (skill / name).symlink_to(tmp_path / "secret")
    gathered = read_source(skill)
    assert () == gathered.skills
    assert "Path traversal blocked" in str(gathered.problems[0])


def test_links_inside_of_a_skill(tmp_path: Path) -> None:
    """A link to a file of the same skill is followed; one to a folder is not."""
    skill = write(tmp_path / "skill", {"SKILL.md": text_of("one"), "docs/a.md": "A"})
    (skill / "reference.md").symlink_to("docs/a.md")
    (skill / "resources").symlink_to("docs")
    (found,) = read_source(skill).skills
    assert {"docs/a.md": "A", "reference.md": "A"} == dict(found.auxiliary)


def test_limits_of_a_folder(tmp_path: Path) -> None:
    """Files that are too large or too many are left out, the named ones last; a Markdown file must
    be a text."""
    body = "See z/300.md and `y.bin`.\n"
    write(tmp_path, {"SKILL.md": text_of("one", body=body), "README.md": "x" * (LARGEST + 1)})
    (skill,) = read_source(tmp_path).skills
    assert (("README.md",), ()) == (skill.left_out, skill.files)
    (tmp_path / "README.md").write_bytes(b"ok\n\xff")
    assert "README.md:2: the text is not UTF-8" in str(read_source(tmp_path).problems[0])
    (tmp_path / "README.md").write_bytes(b"\0")
    assert "it contains a zero byte" in str(read_source(tmp_path).problems[0])
    (tmp_path / "README.md").unlink()
    (tmp_path / "y.bin").write_bytes(b"\0" * LARGEST)
    write(tmp_path, {f"a/{n}.txt": "x" * (LARGEST - 1) for n in range(6)})
    (skill,) = read_source(tmp_path).skills
    assert ("a/0.txt", "a/1.txt", "a/2.txt", "y.bin") == skill.files
    assert ("a/3.txt", "a/4.txt", "a/5.txt") == skill.left_out
    write(tmp_path, {f"a/{n}.txt": "x" for n in range(6)})
    write(tmp_path, {f"z/{n}.md": "x" for n in range(MOST_AUXILIARIES + 60)})
    (skill,) = read_source(tmp_path).skills
    assert MOST_AUXILIARIES == len(skill.files)
    assert "z/300.md" in skill.files
    assert 67 == len(skill.left_out)
    (tmp_path / "SKILL.md").write_text("x" * (LARGEST + 1))
    assert "larger than 1024 KiB" in str(read_source(tmp_path).problems[0])


@pytest.mark.parametrize(
    "data",
    [zipped(MANY), zipped(MANY, zipfile.ZIP_STORED), tarred(MANY), tarred(MANY, mode="w")],
    ids=["zip", "stored", "tar.gz", "tar"],
)
def test_archives(tmp_path: Path, data: bytes) -> None:
    """An archive gives what its folder would, and leaves nothing on disk."""
    file = tmp_path / "skills.archive"
    file.write_bytes(data)
    gathered = read_source(file)
    assert ["two", "one", "three"] == [skill.name for skill in gathered.skills]
    assert gathered.skills[1].files == read_source(write(tmp_path / "f", MANY)).skills[1].files
    shutil.rmtree(tmp_path / "f")
    assert f"{file}/one/SKILL.md" == gathered.skills[1].source_path
    assert [file] == list(tmp_path.iterdir())


def test_a_folder_and_its_archive_have_one_hash(tmp_path: Path) -> None:
    """The same files have the same content hash, however they come."""
    folder = {skill.name: skill.content_hash for skill in read_source(write(tmp_path, MANY)).skills}
    archive = {s.name: s.content_hash for s in gather(read_archive(zipped(MANY), "z")).skills}
    assert folder == archive


@pytest.mark.parametrize(
    "path",
    [
        "../SKILL.md",
        "/etc/SKILL.md",
        "a/../../SKILL.md",
        "C:/SKILL.md",
        "a\\..\\SKILL.md",
        "..",
        "a/..",
    ],
)
def test_paths_that_lead_out_of_an_archive(path: str) -> None:
    """One such member refuses the whole archive, of either kind."""
    files = {"SKILL.md": text_of("one"), path: "x"}
    assert "Path traversal blocked" in refusal(zipped(files))
    assert "Path traversal blocked" in refusal(tarred(files))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar(kind: bytes) -> None:
    """A link or device rejects the whole archive, even if it would not be read."""
    member = tarfile.TarInfo("one/anything")
    member.type, member.linkname = kind, "SKILL.md"
    data = tarred({"one/SKILL.md": text_of("one")}, members=(member,))
    assert "is a link or a device" in refusal(data)


def test_a_link_in_a_zip() -> None:
    """A link in a zip archive refuses it."""
    buffer = io.BytesIO(zipped({"one/SKILL.md": text_of("one")}))
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("one/reference.md")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "is a link or a device" in refusal(buffer.getvalue())


def test_a_zip_that_unpacks_to_much() -> None:
    """A small archive of a huge file is refused before it is unpacked."""
    data = zipped({"SKILL.md": b"\0" * (LARGEST_UNPACKED + 1)})
    assert len(data) < 1 << 20
    assert "unpacks to more than 100 MiB" in refusal(data)


def test_a_zip_that_lies_about_its_sizes() -> None:
    """Whatever sizes an archive declares, no more than the limit of a file is unpacked."""
    data = zipped({"SKILL.md": b"x" * (8 * LARGEST)})
    lie = data.replace((8 * LARGEST).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lie != data
    assert "broken" in refusal(lie)


def test_a_tar_that_unpacks_to_much() -> None:
    """A stream that unpacks without an end is left as soon as the limit is passed."""
    many = tarred({f"{n}.bin": b"\0" * (20 << 20) for n in range(6)})
    assert "unpacks to more than 100 MiB" in refusal(many)
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, LARGEST_UNPACKED + (1 << 20)
    long = gzip.compress(name.tobuf(tarfile.GNU_FORMAT) + b"n" * name.size, 1)
    assert "unpacks to more than 100 MiB" in refusal(long)


def test_an_archive_of_very_many_files() -> None:
    """More members than any collection of skills has are refused."""
    files = {f"{n}.txt": "" for n in range(MOST_MEMBERS + 1)}
    assert "more than 5000 members" in refusal(zipped(files))
    assert "more than 5000 members" in refusal(tarred(files))


def test_an_archive_that_is_too_large() -> None:
    """The archive itself has a limit."""
    assert "larger than 20 MiB" in refusal(b"PK\x03\x04" + bytes(LARGEST_ARCHIVE))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"BZh91AY", "bzip2 archives are not supported"),
        (b"\xfd7zXZ\0", "xz archives are not supported"),
        (b"PK\x03\x04rubbish", "the archive is broken"),
        (b"\x1f\x8brubbish", "the archive is broken"),
        (zipped(MANY)[:-30], "the archive is broken"),
        (tarred(MANY)[:-30], "the archive is broken"),
        (zipped({"SKILL.md": "x"}, zipfile.ZIP_LZMA), "its compression method is not supported"),
        (zipped({"SKILL.md": "x"}, zipfile.ZIP_BZIP2), "its compression method is not supported"),
        (zipped({"a/SKILL.md": "x", "a/./SKILL.md": "y"}), "two members have the path"),
    ],
)
def test_archives_that_are_not_read(data: bytes, words: str) -> None:
    """Broken and unsupported archives give a readable error."""
    assert words in refusal(data)


@settings(max_examples=150)
@given(
    st.sampled_from([zipped(MANY), tarred(MANY), tarred(MANY, mode="w")]),
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), min_size=1, max_size=6),
)
@example(tarred(MANY, mode="w"), [(156, 120)])
def test_damaged_archives(data: bytes, damages: list[tuple[int, int]]) -> None:
    """Whatever bytes are wrong, there are skills or sentences, and never another error."""
    damaged = bytearray(data)
    for place, value in damages:
        damaged[place % len(damaged)] = value
    told: list[str] = []
    try:
        gathered = gather(read_archive(bytes(damaged), "a.zip"))
    except SkillError as error:
        told.append(str(error))
    else:
        told += map(str, gathered.problems)
    assert all(text.startswith("a.zip") for text in told)


class Web:
    """Answers with what it was given, and notes what it was asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[str] = []

    async def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        return self.data


async def test_an_address() -> None:
    """A skill of the web knows its address, without what may be a secret in it."""
    web = Web(text_of("one").encode())
    gathered = await fetch_source("https://example.com/a/SKILL.md?token=secret#top", web)
    (skill,) = gathered.skills
    assert "https://example.com/a/SKILL.md" == skill.source_url == skill.source_path
    assert ["https://example.com/a/SKILL.md?token=secret"] == web.asked


async def test_an_archive_on_the_web() -> None:
    """An archive is known by its first bytes, whatever the address."""
    gathered = await fetch_source("http://example.com/download", Web(zipped(MANY)))
    assert {"http://example.com/download"} == {skill.source_url for skill in gathered.skills}
    assert ["two", "one", "three"] == [skill.name for skill in gathered.skills]


async def test_the_page_of_a_file_at_github() -> None:
    """The address of a file's page is taken for the file."""
    web = Web(text_of("one").encode())
    await fetch_source("https://github.com/o/r/blob/main/skills/one/SKILL.md", web)
    assert ["https://raw.githubusercontent.com/o/r/main/skills/one/SKILL.md"] == web.asked


@pytest.mark.parametrize(
    ("url", "data", "words"),
    [
        ("https://u:pw@example.com/SKILL.md", b"", "must not contain a user or password"),
        ("https:///SKILL.md", b"", "must be an http or https URL"),
        ("https://example.com:x/SKILL.md", b"", "must be an http or https URL"),
        ("https://[::1/SKILL.md", b"", "must be an http or https URL"),
        ("https://u:pw@[::1/SKILL.md", b"", "must be an http or https URL"),
        ("https://example.com/a b", b"", "must not contain spaces or control characters"),
        ("https://example.com/x", b"\n<!DOCTYPE html><html>", "this is a web page"),
        ("https://example.com/x", b"x" * (LARGEST + 1), "larger than 1 MiB"),
        ("https://example.com/x.zip", b"PK\x03\x04" + bytes(LARGEST_ARCHIVE), "larger than 20 MiB"),
    ],
)
async def test_addresses_that_are_refused(url: str, data: bytes, words: str) -> None:
    """Unusable URLs give an error, which does not repeat a password."""
    with pytest.raises(SkillError) as caught:
        await fetch_source(url, Web(data))
    assert words in str(caught.value)
    assert "pw@" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "files"),
    [
        ("See [forms](forms.md).", ["forms.md"]),
        ('See [forms](./forms.md#top "Forms").', ["forms.md"]),
        ("See [it](<docs/my file.md>) and [that](docs/other%20file.md).", ["docs/my file.md"]),
        ("Run `python scripts/fill.py --all`.", ["scripts/fill.py"]),
        ("Run scripts/fill.py.", ["scripts/fill.py"]),
        ("Read examples/a.md first.", ["examples/a.md", "examples/b.md"]),
        ("Use assets/logo.png.", ["assets/logo.png"]),
        ("Keep LICENSE.", ["LICENSE"]),
    ],
)
def test_named_files_come_before_others(tmp_path: Path, body: str, files: list[str]) -> None:
    """However a text names them, and also if only a named text names them."""
    skill = write(tmp_path / "skill", {"SKILL.md": text_of("one", body=body)})
    write(skill, {f"0/{n}": "x" for n in range(MOST_AUXILIARIES + 5)})
    write(skill, {file: "Then b.md." for file in files if not file.endswith(".png")})
    if "assets/logo.png" in files:
        (skill / "assets").mkdir()
        (skill / "assets/logo.png").write_bytes(b"\x89PNG\r\n\0")
    (found,) = read_source(skill).skills
    assert set(files) <= set(found.files)
    assert MOST_AUXILIARIES == len(found.files)
    assert ("assets/logo.png" in files) is ("assets/logo.png" in found.blobs)


def test_what_is_hidden_stays_out(tmp_path: Path) -> None:
    """Neither secrets beside a skill nor folders of tools are taken, even if a text names them."""
    skill = write(
        tmp_path / ".curated/one",
        {
            "SKILL.md": text_of("one", body="See .env and node_modules/x.md and .git/config."),
            ".env": "SECRET=1",
            ".git/config": "x",
            "node_modules/x.md": "x",
            "docs/.draft.md": "x",
            "docs/a.md": "x",
        },
    )
    write(tmp_path, {".git/hooks/SKILL.md": text_of("hook"), "node_modules/p/SKILL.md": "x"})
    for source in (tmp_path, skill):
        (found,) = read_source(source).skills
        assert ("one", ("docs/a.md",)) == (found.name, found.files)
    archive = {
        path.relative_to(tmp_path).as_posix(): path.read_text()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    (found,) = gather(read_archive(zipped(archive), "z")).skills
    assert ("one", ("docs/a.md",)) == (found.name, found.files)


def test_copies_for_other_clients_are_one_skill(tmp_path: Path) -> None:
    """The same skill in hidden folders is ignored; another one of its name is a conflict."""
    files = {f"{at}/one/SKILL.md": text_of("one") for at in ("skills", ".claude", ".agents")}
    gathered = read_source(write(tmp_path, files))
    assert [f"{tmp_path}/skills/one/SKILL.md"] == [each.source_path for each in gathered.skills]
    assert () == gathered.problems
    write(tmp_path, {".claude/one/SKILL.md": text_of("one", "Another.")})
    assert 1 == len(read_source(tmp_path).problems)


@pytest.mark.parametrize("make", ["link", "fifo", "loop", "folder"])
def test_odd_files_are_left_out(tmp_path: Path, make: str) -> None:
    """Dangling links and special files do not refuse a skill."""
    skill = write(tmp_path / "skill", {"SKILL.md": text_of("one"), "a/b.txt": "x"})
    if make == "fifo":
        os.mkfifo(skill / "odd.txt")
    else:
        (skill / "odd.txt").symlink_to({"link": "gone", "loop": "odd.txt", "folder": "a"}[make])
    (found,) = read_source(skill).skills
    assert ("a/b.txt",) == found.files


@pytest.mark.parametrize("path", ["data.txt", "deep/er/notes.md"])
def test_any_link_out_of_a_skill_is_refused(tmp_path: Path, path: str) -> None:
    """Whatever its name and place."""
    (tmp_path / "secret").write_text("secret")
    skill = write(tmp_path / "skill", {"SKILL.md": text_of("one"), path: "x"})
    (skill / path).unlink()
    (skill / path).symlink_to(tmp_path / "secret")
    gathered = read_source(skill)
    assert () == gathered.skills
    assert "Path traversal blocked" in str(gathered.problems[0])


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/b", "a\\b", "..", "."])
def test_names_that_are_paths(tmp_path: Path, name: str) -> None:
    """They are refused, since clients use names as folders."""
    write(tmp_path, {"SKILL.md": text_of(f"'{name}'")})
    assert "must not contain '/'" in str(read_source(tmp_path).problems[0])
