"""No user name, password or token is ever shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.live.credentials import without_credentials

SECRETS = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=8)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://doctor:secret@10.0.0.7:554/live?channel=1", "rtsp://***@10.0.0.7:554/live?channel=1"),
        ("https://a:b@host/x.m3u8?token=abc&x=1", "https://***@host/x.m3u8?token=***&x=1"),
        (
            "could not open 'rtsp://u:p@h/a', nor http://u2:p2@h/b",
            "could not open 'rtsp://***@h/a', nor http://***@h/b",
        ),
        ('rtspsrc location="rtsp://u:p@h/a" ! fakesink', 'rtspsrc location="rtsp://***@h/a" ! fakesink'),
        ("rtspsrc user-id=me user-pw='my word' location=x ! y", "rtspsrc user-id=*** user-pw=*** location=x ! y"),
        ("rtsp://10.0.0.7/live", "rtsp://10.0.0.7/live"),
        ("open 'rtmp://a.host:1935/live2/abcd-efgh' failed", "open 'rtmp://a.host:1935/live2/***' failed"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


@given(user=SECRETS, password=SECRETS)
def test_no_password_survives(user: str, password: str) -> None:
    shown = without_credentials(f"cannot read rtsp://{user}:{password}@host/path: gone")
    assert shown == "cannot read rtsp://***@host/path: gone"
