import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.errors import ChainError
from streetvision_core.serving.protocols.sn72.keys import (
    KeyPair,
    decode_address,
    encode_address,
    load_key,
    load_or_make_key,
    read_address,
    verify,
)

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
ALICE_PUBLIC = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d"


def test_address__of_the_published_development_key():
    assert decode_address(ALICE).hex() == ALICE_PUBLIC
    assert encode_address(bytes.fromhex(ALICE_PUBLIC)) == ALICE


@given(st.binary(min_size=32, max_size=32))
def test_address__comes_back(public):
    assert decode_address(encode_address(public)) == public


@given(
    st.text(max_size=60)
    | st.text("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", min_size=48, max_size=48)
)
def test_decode_address__refuses_what_is_none(text):
    with pytest.raises(ChainError, match="allowed: an ss58 address"):
        decode_address(text)


@pytest.mark.parametrize("position", [0, 1, 20, 47])
def test_decode_address__one_wrong_letter_is_found(position):
    wrong = "7" if ALICE[position] != "7" else "8"
    with pytest.raises(ChainError):
        decode_address(ALICE[:position] + wrong + ALICE[position + 1 :])


def test_decode_address__another_network():
    with pytest.raises(ChainError):
        decode_address("15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5")  # the same key on Polkadot


def test_verify__only_the_right_key_message_and_signature():
    key, other = KeyPair.from_seed(b"a" * 32), KeyPair.from_seed(b"b" * 32)
    signature = key.sign(b"text")
    assert verify(signature, b"text", key.public)
    assert not verify(signature, b"test", key.public)
    assert not verify(signature, b"text", other.public)
    assert not verify(signature[:-1], b"text", key.public)
    assert not verify(bytes(64), b"text", key.public)
    assert not verify(signature, b"text", b"\xff" * 32)


def test_key_file__is_made_once_and_only_for_its_owner(tmp_path):
    path = tmp_path / "keys" / "replay"
    first = load_or_make_key(path)
    assert load_or_make_key(path) == first == load_key(path)
    assert read_address(path) == first.address
    assert path.stat().st_mode & 0o777 == 0o600
    assert "secret" not in repr(first)


def test_read_address__of_an_encrypted_hotkey_is_in_the_file_beside_it(tmp_path):
    key = load_or_make_key(tmp_path / "plain")
    fields = json.loads((tmp_path / "plain").read_text())
    (tmp_path / "hot").write_bytes(b"$NACL\x93\x00")
    with pytest.raises(ChainError, match="encrypted"):
        read_address(tmp_path / "hot")
    public = {name: fields[name] for name in ("accountId", "publicKey", "ss58Address")}
    (tmp_path / "hotpub.txt").write_text(json.dumps(public))
    assert read_address(tmp_path / "hot") == key.address


def damaged(path, **change):
    load_or_make_key(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def test_read_address__refuses_a_key_that_is_not_its_address(tmp_path):
    damaged(tmp_path / "hot", ss58Address=ALICE)
    for read in (read_address, load_key):
        with pytest.raises(ChainError, match="is not that of its"):
            read(tmp_path / "hot")


@pytest.mark.parametrize("name", ["coldkey", "coldkeypub.txt"])
def test_read_address__never_opens_a_coldkey(tmp_path, name):
    (tmp_path / name).mkdir()  # opening it would be another error
    with pytest.raises(ChainError, match="a coldkey, which nothing here may open"):
        read_address(tmp_path / name)


@pytest.mark.parametrize("text", ["", "[]", '{"ss58Address": 5}', json.dumps({"ss58Address": ALICE})])
def test_read_address__refuses_other_files(tmp_path, text):
    (tmp_path / "hot").write_text(text)
    with pytest.raises(ChainError):
        read_address(tmp_path / "hot")
    with pytest.raises(ChainError):
        load_key(tmp_path / "missing")
