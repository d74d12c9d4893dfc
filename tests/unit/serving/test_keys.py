import json
import stat

import pytest

from streetvision_core.errors import KeyFileError, RateLimitError
from streetvision_core.serving.access import Buckets
from streetvision_core.serving.keys import ApiKey, KeyFile


def test_find__the_key_itself_and_nothing_else(tmp_path):
    keys = KeyFile(tmp_path / "keys.json")
    alice, bob = keys.add("alice"), keys.add("bob", 5)
    assert (keys.find(alice).name, keys.find(bob).requests_per_second) == ("alice", 5)
    swapped = alice[:16] + bob[16:]
    for text in (
        "",
        "sv_",
        alice[:-1],
        alice + "a",
        alice.upper(),
        swapped,
        alice[:-1] + ("a" if alice[-1] != "a" else "b"),
    ):
        assert keys.find(text) is None, text


def test_add__only_a_digest_is_kept_and_only_for_its_owner(tmp_path):
    keys = KeyFile(tmp_path / "keys.json")
    text = keys.add("alice")
    stored = keys.path.read_text()
    assert text.split("_", 2)[2] not in stored
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert "sha256" not in keys.list()[0].to_dict()
    json.dumps(keys.list()[0].to_dict())


def test_revoke__takes_effect_in_a_running_reader_and_frees_the_name(tmp_path):
    writer, reader = KeyFile(tmp_path / "keys.json"), KeyFile(tmp_path / "keys.json")
    old = writer.add("alice")
    assert reader.find(old) is not None
    writer.revoke("alice")
    assert reader.find(old) is None
    new = writer.add("alice")
    assert (reader.find(old), reader.find(new).name) == (None, "alice")
    assert [bool(k.revoked) for k in reader.list()] == [True, False]


@pytest.mark.parametrize(
    ("name", "rate"),
    [("", None), ("a b", None), ("-a", None), ("a" * 41, None), ("a", 0), ("a", -1), ("a", float("nan"))],
)
def test_add__refuses(tmp_path, name, rate):
    with pytest.raises(KeyFileError):
        KeyFile(tmp_path / "keys.json").add(name, rate)


def test_changes__that_make_no_sense_are_named(tmp_path):
    keys = KeyFile(tmp_path / "keys.json")
    keys.add("alice")
    with pytest.raises(KeyFileError, match="revoke the old one first"):
        keys.add("alice")
    with pytest.raises(KeyFileError, match="one of: alice"):
        keys.revoke("bob")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": [{"name": "a"}]}', '{"keys": 1}', "[" * 100_000])
def test_list__a_broken_file_is_named_and_lets_nobody_in(tmp_path, text):
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(KeyFileError, match="restore it"):
        KeyFile(tmp_path / "keys.json").find("sv_" + 12 * "0" + "_" + 43 * "a")


def test_buckets__burst_then_rate():
    now = [0.0]
    buckets = Buckets(2.0, 3, lambda: now[0])
    quick, slow = ApiKey("quick", "1", "", ""), ApiKey("slow", "2", "", "", 0.1)

    def taken(key):
        try:
            buckets.take(key)
        except RateLimitError as error:
            return error.data["retry_after_seconds"]
        return "yes"

    assert [taken(quick) for _ in range(4)] == ["yes"] * 3 + [1]
    assert [taken(slow) for _ in range(4)] == ["yes"] * 3 + [10]
    now[0] = 1.0
    assert [taken(quick) for _ in range(3)] == ["yes", "yes", 1]
    now[0] = 1000.0  # never more than the burst
    assert [taken(quick) for _ in range(4)] == ["yes"] * 3 + [1]
