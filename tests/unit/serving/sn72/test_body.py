import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streetvision_core.errors import QueryRefusedError
from streetvision_core.serving.protocols.sn72.body import body_hash, parse_body
from streetvision_core.serving.protocols.sn72.headers import EMPTY_HASH
from streetvision_core.settings import Sn72Settings

LIMITS = Sn72Settings()
TEXT = base64.b64encode(b"a picture").decode()


def body(**fields):
    return json.dumps({"image": TEXT, "prediction": -1.0, **fields}).encode()


def test_parse_body__image_and_label():
    query = parse_body(body(testnet_label=1), EMPTY_HASH, LIMITS)
    assert (query.image.data, query.testnet_label) == (b"a picture", 1)
    assert parse_body(body(), EMPTY_HASH, LIMITS).testnet_label == -1
    assert parse_body(body(testnet_label="x" * 50), EMPTY_HASH, LIMITS).testnet_label == -1


@pytest.mark.parametrize(
    "bad", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, body(image=None), body(image="a"), body(image="*")]
)
def test_parse_body__refuses_what_is_no_synapse(bad):
    with pytest.raises(QueryRefusedError) as caught:
        parse_body(bad, EMPTY_HASH, LIMITS)
    assert caught.value.data["reason"] == "body"


def test_parse_body__the_hash_is_checked_where_one_was_signed():
    signed = body_hash({"image": TEXT}, ("image",))
    assert parse_body(body(), signed, LIMITS).image.data == b"a picture"
    with pytest.raises(QueryRefusedError, match="not signed"):
        parse_body(body(image="YQ=="), signed, LIMITS)


def test_parse_body__a_signature_that_covers_nothing_can_be_refused():
    strict = Sn72Settings(body_hash_required=True)
    with pytest.raises(QueryRefusedError, match="not signed"):
        parse_body(body(), EMPTY_HASH, strict)
    parse_body(body(), body_hash({"image": TEXT}, ("image",)), strict)


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.text(), st.lists, max_leaves=5).map(lambda v: json.dumps({"image": v}).encode())
)
@settings(max_examples=200, deadline=None)
def test_parse_body__any_bytes_are_read_or_refused(data):
    try:
        parse_body(data, EMPTY_HASH, LIMITS)
    except QueryRefusedError as error:
        assert error.data["reason"] == "body"
