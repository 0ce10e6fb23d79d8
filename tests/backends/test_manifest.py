"""Manifests and their store."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcpgw.backends.manifest import KEPT, Manifest, ManifestStore

FINGERPRINTS = [f"{number:064x}"[::-1] for number in range(1, 9)]
TOOL: dict[str, Any] = {"name": "add", "inputSchema": {"type": "object"}, "x-new-in-2030": [1]}


def make(backend: str = "maths", fingerprint: str = FINGERPRINTS[0], **changes: Any) -> Manifest:
    manifest = Manifest(
        backend=backend,
        fingerprint=fingerprint,
        protocol_version="2025-11-25",
        server_info={"name": "Maths", "version": "1"},
        capabilities={"tools": {"listChanged": True}},
        instructions="Count well.",
        tools=(TOOL,),
        resources=({"uri": "file:///a", "name": "a"},),
        resource_templates=({"uriTemplate": "file:///{x}", "name": "x"},),
        prompts=({"name": "p"},),
        saved_at=1_700_000_000.5,
    )
    return attrs.evolve(manifest, **changes)


@pytest.fixture
def store(tmp_path: Path) -> ManifestStore:
    """A store whose folder does not exist yet."""
    return ManifestStore(tmp_path / "state" / "manifests")


def only_file(store: ManifestStore) -> Path:
    [path] = store.folder.iterdir()
    return path


class TestDiffersFrom:
    """Comparison of manifests."""

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, set()),
            ({"saved_at": 2.0, "fingerprint": "f"}, set()),
            ({"tools": ()}, {"tools"}),
            ({"tools": (TOOL | {"description": "Adds."},)}, {"tools"}),
            ({"resources": (), "prompts": ()}, {"resources", "prompts"}),
            ({"resource_templates": ()}, {"resource_templates"}),
            ({"instructions": "x", "protocol_version": "y"}, {"server"}),
            ({"server_info": {}}, {"server"}),
            ({"capabilities": {}, "tools": ()}, {"server", "tools"}),
        ],
    )
    def test_names_what_differs(self, changes: dict[str, Any], expected: set[str]) -> None:
        """Each list that differs is named, and `server` for the other fields."""
        assert expected == make(**changes).differs_from(make())

    def test_order_counts(self) -> None:
        """A list in another order differs."""
        one, other = {"name": "a"}, {"name": "b"}
        assert {"tools"} == make(tools=(one, other)).differs_from(make(tools=(other, one)))


class TestStore:
    """Saving and loading."""

    def test_round_trip(self, store: ManifestStore) -> None:
        """A saved manifest is loaded again, including unknown fields of definitions."""
        store.save(make())
        assert make() == store.load("maths", FINGERPRINTS[0])

    def test_only_for_the_owner(self, store: ManifestStore) -> None:
        """Other users cannot read the folder or the file."""
        store.save(make())
        modes = [path.stat().st_mode & 0o777 for path in (store.folder, only_file(store))]
        assert [0o700, 0o600] == modes

    def test_nothing_kept(self, store: ManifestStore) -> None:
        """Without a folder, `load` returns None and `forget` does nothing."""
        store.forget("maths")
        assert store.load("maths", FINGERPRINTS[0]) is None

    def test_another_configuration(self, store: ManifestStore) -> None:
        """A manifest is loaded only for the configuration that it was saved under."""
        store.save(make())
        assert store.load("maths", FINGERPRINTS[1]) is None

    def test_fingerprints_with_the_same_beginning(self, store: ManifestStore) -> None:
        """The whole fingerprint counts, not only the part in the file's name."""
        store.save(make(fingerprint="0" * 16 + "a"))
        assert store.load("maths", "0" * 16 + "b") is None

    @pytest.mark.parametrize("length", [0, 1, 40, -1])
    def test_torn_file(self, store: ManifestStore, length: int) -> None:
        """An incomplete file is ignored."""
        store.save(make())
        path = only_file(store)
        path.write_bytes(path.read_bytes()[:length])
        assert store.load("maths", FINGERPRINTS[0]) is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"format": 0},
            {"format": None},
            {"backend": "other"},
            {"instructions": None},
            {"server_info": []},
            {"capabilities": "tools"},
            {"tools": {}},
            {"tools": ["add"]},
            {"prompts": None},
            {"saved_at": "now"},
        ],
    )
    def test_wrong_shapes(self, store: ManifestStore, changes: dict[str, Any]) -> None:
        """A file of another version or shape is ignored."""
        store.save(make())
        path = only_file(store)
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        assert store.load("maths", FINGERPRINTS[0]) is None

    @pytest.mark.parametrize("content", ["[]", "null", '"x"', "[" * 100_000, "\x00", "{}"])
    def test_anything_else_in_the_file(self, store: ManifestStore, content: str) -> None:
        """Loading does not fail, whatever the content of the file."""
        store.save(make())
        only_file(store).write_text(content)
        assert store.load("maths", FINGERPRINTS[0]) is None

    def test_a_folder_in_its_place(self, store: ManifestStore) -> None:
        """A folder instead of a file is ignored."""
        store.save(make())
        path = only_file(store)
        path.unlink()
        path.mkdir()
        assert store.load("maths", FINGERPRINTS[0]) is None

    def test_cannot_be_written(self, tmp_path: Path) -> None:
        """An error of writing is raised."""
        (tmp_path / "file").touch()
        with pytest.raises(OSError, match="file"):
            ManifestStore(tmp_path / "file" / "manifests").save(make())

    def test_nested_too_deeply(self, store: ManifestStore) -> None:
        """A definition that JSON cannot represent is an error of writing, too."""
        deep: dict[str, Any] = {}
        for _ in range(100_000):
            deep = {"": deep}
        with pytest.raises(OSError, match=r"'maths'.*nested too deeply"):
            store.save(make(tools=({"name": "a", "inputSchema": deep},)))
        while deep:
            deep = deep.popitem()[1]


class TestRoom:
    """The number of manifests that are kept."""

    def save_all(self, store: ManifestStore, backend: str = "maths") -> None:
        for age, fingerprint in enumerate(FINGERPRINTS):
            store.save(make(backend, fingerprint))
            for path in store.folder.iterdir():
                if fingerprint[:16] in path.name:
                    os.utime(path, (1000 + age, 1000 + age))

    def kept(self, store: ManifestStore, backend: str = "maths") -> list[str]:
        return [each for each in FINGERPRINTS if store.load(backend, each) is not None]

    def test_the_newest_are_kept(self, store: ManifestStore) -> None:
        """If gateways with different configurations share a folder, the oldest are removed."""
        self.save_all(store)
        assert FINGERPRINTS[-KEPT:] == self.kept(store)

    def test_the_one_just_saved_is_kept(self, store: ManifestStore) -> None:
        """The manifest that was saved last is kept, whatever the modification times."""
        self.save_all(store)
        for path in store.folder.iterdir():
            os.utime(path, (4e9, 4e9))
        store.save(make(fingerprint=FINGERPRINTS[0]))
        assert KEPT == len(self.kept(store))
        assert make(fingerprint=FINGERPRINTS[0]) == store.load("maths", FINGERPRINTS[0])

    @pytest.mark.parametrize(
        "name",
        [
            "maths.b",
            "maths.0123456789abcdef",
            f"maths.{FINGERPRINTS[0][:16]}.json",
            "maths*",
            "Maths",
            "math",
            "máths",
            "maths%2e",
            "../maths",
            "maths" + "s" * 500,
            "maths" + "s" * 501,
            "m\ud800",
            "",
        ],
    )
    def test_names_do_not_clash(self, store: ManifestStore, name: str) -> None:
        """A backend with a similar or unusual name has its own files, inside the folder."""
        store.save(make(name))
        self.save_all(store)
        store.save(make("maths" + "s" * 502))
        assert make(name) == store.load(name, FINGERPRINTS[0])
        names = {path.name.lower() for path in store.folder.iterdir()}
        assert KEPT + 2 == len(names)
        store.forget(name)
        assert store.load(name, FINGERPRINTS[0]) is None
        assert KEPT == len(self.kept(store))

    def test_forget(self, store: ManifestStore) -> None:
        """A backend is forgotten under every configuration; others are kept."""
        self.save_all(store)
        store.save(make("other"))
        store.forget("maths")
        assert [] == self.kept(store)
        assert make("other") == store.load("other", FINGERPRINTS[0])


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), json_values, max_size=4)
lists = st.lists(objects, max_size=3).map(tuple)
manifests = st.builds(
    Manifest,
    backend=st.text(st.characters(codec=None), max_size=200),
    fingerprint=st.text(max_size=70) | st.sampled_from(FINGERPRINTS),
    protocol_version=st.text(),
    server_info=objects,
    capabilities=objects,
    instructions=st.text(),
    tools=lists,
    resources=lists,
    resource_templates=lists,
    prompts=lists,
    saved_at=st.floats(0, 1e11),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(manifests)
def test_any_manifest_survives(tmp_path: Path, manifest: Manifest) -> None:
    """Any manifest is loaded as it was saved, whatever the backend's name."""
    store = ManifestStore(tmp_path)
    store.save(manifest)
    loaded = store.load(manifest.backend, manifest.fingerprint)
    assert manifest == loaded
    assert repr(manifest) == repr(loaded)
    store.forget(manifest.backend)
    assert [] == list(tmp_path.iterdir())
