import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streetvision_core.errors import QueryRefusedError
from streetvision_core.serving.protocols.sn72.client import Asker
from streetvision_core.serving.protocols.sn72.headers import EMPTY_HASH, answer_headers, parse_headers, signing_text
from streetvision_core.serving.protocols.sn72.keys import verify
from streetvision_core.settings import Sn72Settings

from .helpers import RECEIVER, VALIDATOR

LIMITS = Sn72Settings()
SENT = Asker(VALIDATOR, RECEIVER.address).query(b"x", 9.0).headers
SENDER, TARGET = "bt_header_dendrite_", "bt_header_axon_"


def raw(**changes):
    """The headers of a sound query with some changed (None: left out); `d_` and `a_` stand for the long prefixes."""
    full = {k.replace("d_", SENDER, 1) if k.startswith("d_") else k: v for k, v in changes.items()}
    full = {k.replace("a_", TARGET, 1) if k.startswith("a_") else k: v for k, v in full.items()}
    return [(k.encode(), v.encode("latin-1")) for k, v in {**SENT, **full}.items() if v is not None]


def test_parse_headers__of_a_sound_query():
    signed = parse_headers(raw(), LIMITS)
    assert (signed.sender, signed.receiver) == (VALIDATOR.address, RECEIVER.address)
    assert (signed.timeout_seconds, signed.version, signed.body_hash) == (9.0, 10_005_000, EMPTY_HASH)
    assert verify(signed.signature, signed.text(), VALIDATOR.public)


def test_empty_hash__is_the_one_a_genuine_synapse_sends():
    assert EMPTY_HASH == "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"d_signature": None}, "unsigned"),
        ({"d_nonce": None}, "unsigned"),
        ({"d_signature": ""}, "headers"),
        ({"d_signature": "0x12"}, "headers"),
        ({"d_signature": "ab" * 64}, "headers"),
        ({"d_nonce": "-5"}, "headers"),
        ({"d_nonce": "1e9"}, "headers"),
        ({"d_nonce": "\xb2"}, "headers"),
        ({"d_nonce": "9" * 20}, "headers"),
        ({"d_hotkey": None}, "headers"),
        ({"d_hotkey": "5" + "0" * 47}, "headers"),
        ({"a_hotkey": None}, "headers"),
        ({"d_uuid": "a.b"}, "headers"),
        ({"d_uuid": ""}, "headers"),
        ({"d_uuid": "a" * 300}, "headers"),
        ({"computed_body_hash": None}, "headers"),
        ({"computed_body_hash": "A" * 64}, "headers"),
        ({"timeout": None}, "headers"),
        ({"timeout": "nan"}, "headers"),
        ({"timeout": "inf"}, "headers"),
        ({"timeout": "-1"}, "headers"),
        ({"timeout": "0"}, "timeout"),
        ({"timeout": "60.1"}, "timeout"),
        ({"timeout": "999999999"}, "timeout"),
        ({"d_version": None}, "headers"),
        ({"d_version": "7001999"}, "version"),
        ({"d_version": "2147483648"}, "version"),
    ],
)
def test_parse_headers__refuses(changes, reason):
    with pytest.raises(QueryRefusedError) as caught:
        parse_headers(raw(**changes), LIMITS)
    assert caught.value.data["reason"] == reason


def test_parse_headers__refuses_a_header_that_comes_twice():
    with pytest.raises(QueryRefusedError, match="twice"):
        parse_headers([*raw(), (f"{SENDER}nonce".encode(), b"1")], LIMITS)


def test_parse_headers__passes_over_what_it_does_not_know():
    parse_headers([*raw(), (b"cookie", b"x" * 100_000), (b"bt_header_dendrite_junk", b"\xff"), (b"", b"")], LIMITS)


@given(
    st.lists(
        st.tuples(st.sampled_from([k.encode() for k in SENT]) | st.binary(max_size=30), st.binary(max_size=300)),
        max_size=20,
    )
)
@example([(f"{SENDER}signature".encode(), b"0x" + b"0" * 128), (f"{SENDER}nonce".encode(), b"0")])
@settings(max_examples=300, deadline=None)
def test_parse_headers__any_headers_are_read_or_refused(headers):
    try:
        parse_headers(headers, LIMITS)
    except QueryRefusedError as error:
        assert error.data["status"] in (400, 401)


@given(st.sampled_from(sorted(SENT)), st.text(st.characters(max_codepoint=255), max_size=150))
@settings(max_examples=500, deadline=None)
def test_parse_headers__what_is_accepted_is_bounded_and_reads_one_way(name, value):
    changed = {**SENT, name: value}
    try:
        signed = parse_headers([(k.encode(), v.encode("latin-1")) for k, v in changed.items()], LIMITS)
    except QueryRefusedError:
        return
    assert 0 < signed.timeout_seconds <= LIMITS.max_timeout_seconds
    assert 7_002_000 <= signed.version < 2**31
    assert 0 <= signed.nonce < 2**64
    parts = signed.text().decode().split(".")
    assert parts == [str(signed.nonce), signed.sender, signed.receiver, signed.uuid, signed.body_hash]


def test_signing_text__order_of_fields():
    assert signing_text(7, "s", "r", "u", "h") == b"7.s.r.u.h"


def test_answer_headers__echo_and_outcome():
    signed = parse_headers(raw(), LIMITS)
    found = dict(answer_headers(signed, 200, "Success", 0.25))
    assert found[b"bt_header_axon_status_code"] == b"200"
    assert found[b"bt_header_axon_status_message"] == b"Success"
    assert float(found[b"bt_header_axon_process_time"]) == 0.25
    assert found[f"{SENDER}uuid".encode()].decode() == signed.uuid
    assert found[b"computed_body_hash"].decode() == EMPTY_HASH
