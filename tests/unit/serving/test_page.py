import base64
import hashlib
import re

from streetvision_core.serving.page import page_response


def test_page_response__policy_allows_exactly_its_own_script_and_style():
    response = page_response()
    html, policy = response.body.decode(), response.headers["content-security-policy"]
    for tag in ("script", "style"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_page_response__needs_nothing_from_elsewhere():
    html = page_response().body.decode()
    assert not re.search(r"(https?:)?//[a-z]|@import|\bon\w+=", html)
    assert "innerHTML" not in html
    assert "/* page." not in html  # its parts are in it
