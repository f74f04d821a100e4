"""No user name, password or token is ever shown."""

import json
import logging
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgeseg.cli import run
from edgeseg.cli.run_live import JsonLines, PlainLines
from edgeseg.runtime.live.credentials import without_credentials, without_secrets_of
from edgeseg.runtime.live.sources.contract import SourceOptions
from edgeseg.runtime.live.sources.faults import SourceFault, SourceLostError
from edgeseg.runtime.live.sources.source_opening import open_live_source

SECRETS = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=8)
WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12)
SECRET = "GEHEIM42"
ADDRESSES = [
    f"rtsp://admin:{SECRET}@10.0.0.5/stream1",
    f"rtsp://admin:p%40{SECRET}@10.0.0.5/s",
    f"rtsp://admin:a@b{SECRET}@10.0.0.5/s",
    f"rtsp://admin:a/b?{SECRET}@10.0.0.5/s",
    f"rtsp://{SECRET}@10.0.0.5/s",
    f"rtsp://10.0.0.5:554/user=admin&password={SECRET}&channel=1&stream=0.sdp?",
    f"rtsp://10.0.0.5:554/user=admin_password={SECRET}_channel=1_stream=0.sdp?real_stream",
    f"rtsp://10.0.0.5:554/user=admin;password={SECRET};channel=1",
    f"http://10.0.0.5/cgi-bin/CGIStream.cgi?cmd=GetMJStream&usr=admin&pwd={SECRET}",
    f"http://10.0.0.5/videostream.cgi?loginuse=admin&loginpas={SECRET}",
    f"http://10.0.0.5/videostream.cgi?loginuse=a@b&loginpas=x@{SECRET}",
    f"http://10.0.0.5/flv?port=1935&app=bcs&stream=channel0_main.bcs&user=admin&password={SECRET}",
    f"rtmp://10.0.0.5/bcs/channel0_main.bcs?channel=0&stream=0&user=admin&password={SECRET}",
    f"rtmp://10.0.0.5/live/{SECRET}",
    f"rtsp://10.0.0.5/live/ch0?auth={SECRET}",
    f"rtsp://10.0.0.5:554/11?authbasic={SECRET}",
    f"http://10.0.0.5/video?x-token={SECRET}&y=1",
    f"http://10.0.0.5/{SECRET}/video",
    f"http://10.0.0.5/video/{SECRET}.m3u8",
    f"http://10.0.0.5/video#{SECRET}",
    f"https://h/live.m3u8?X-Amz-Signature={SECRET}",
    f"https://h/live.m3u8?hdnts=exp=1~hmac={SECRET}",
    f"https://h/live.m3u8?{SECRET}",
    f"https://h/;jsessionid={SECRET}",
    f"srt://h:9000?passphrase={SECRET}&streamid=x",
    f"srt://h:9000?streamid={SECRET}",
    f"udp://{SECRET}@239.0.0.1:5000",
    f"HTTP://h/live.m3u8?code={SECRET}",
    f"http:/10.0.0.5/videostream.cgi?loginpas={SECRET}",
]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://doctor:secret@10.0.0.7:554/live?channel=1", "rtsp://***@10.0.0.7:554/live?***"),
        ("https://a:b@host/x.m3u8?token=abc&x=1", "https://***@host/x.m3u8?***"),
        (
            "could not open 'rtsp://u:p@h/a', nor http://u2:p2@h/b",
            "could not open 'rtsp://***@h/a', nor http://***@h/b",
        ),
        ('rtspsrc location="rtsp://u:p@h/a" ! fakesink', 'rtspsrc location="rtsp://***@h/a" ! fakesink'),
        ("rtspsrc user-id=me user-pw='my word' location=x ! y", "rtspsrc user-id=*** user-pw=*** location=x ! y"),
        ("souphttpsrc cookies=abc location=x ! y width=640", "souphttpsrc cookies=*** location=x ! y width=640"),
        ("rtsp://10.0.0.7/live", "rtsp://10.0.0.7/live"),
        ("rtsp://[fe80::1]:554/Streaming/Channels/101", "rtsp://[fe80::1]:554/Streaming/Channels/101"),
        ("rtsp://h/axis-media/media.amp", "rtsp://h/axis-media/media.amp"),
        ("open 'rtmp://a.host:1935/live2/abcd-efgh' failed", "open 'rtmp://a.host:1935/live2/***' failed"),
        ("rtmp://a.host/app7/live", "rtmp://a.host/***/***"),
        ("http://camera/secretdoor/video.mjpg: gone", "http://camera/***/video.mjpg: gone"),
        ("rtsp://HOST/PATH, http(s)://HOST/PATH, camera:0", "rtsp://HOST/PATH, http(s)://HOST/PATH, camera:0"),
        ("/dev/video0", "/dev/video0"),
        ("gst:videotestsrc pattern=ball ! videoconvert", "gst:videotestsrc pattern=ball ! videoconvert"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_form_of_address_shows_its_secret(address: str) -> None:
    for text in (
        address,
        f"cannot open '{address}': gone",
        f'rtspsrc location="{address}" ! fakesink',
        f"gst:x uri={address}",
    ):
        assert SECRET not in without_credentials(text)
        assert "admin" not in without_credentials(text)


@given(user=SECRETS, password=SECRETS)
@example(user="doctor00", password="p@ss/w?rd")
def test_no_password_survives(user: str, password: str) -> None:
    shown = without_credentials(f"cannot read rtsp://{user}:{password}@host/path: gone")
    assert shown in {"cannot read rtsp://***@host/path: gone", "cannot read rtsp://***: gone"}


@given(name=WORDS, value=SECRETS, part=SECRETS)
def test_no_parameter_and_no_part_of_a_path_survives(name: str, value: str, part: str) -> None:
    shown = without_credentials(f"http://host/{part}/live?{name}={value}")
    assert value not in shown and part not in shown


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    "command",
    [
        "run ENGINE",
        "live ENGINE",
        "live ENGINE left=synthetic:64x48",
        "live ENGINE left=synthetic:64x48 synthetic: --send-to",
        "bench ENGINE --source",
        "evaluate ENGINE",
        "data inspect",
        "evaluate ENGINE DATA --negatives",
        "inspect",
        "live ENGINE synthetic:64x48 --send-to",
    ],
)
def test_no_command_shows_it(
    tiny_engine: Path, tmp_path: Path, capfd, caplog, monkeypatch, command: str, address: str
) -> None:
    monkeypatch.setattr("edgeseg.cli.run_live.run_live", _refused)
    words = [{"ENGINE": str(tiny_engine), "DATA": str(tmp_path)}.get(word, word) for word in command.split()]
    with caplog.at_level(logging.DEBUG):
        assert run([*words, address], debug=True) != 0
        assert run([*words, address, "--json"]) != 0
    output, errors = capfd.readouterr()
    assert errors
    for text in (output, errors, caplog.text):
        assert SECRET not in text


def _refused(streams, as_json: bool, log_json: bool) -> None:
    from edgeseg.runtime.live.sinks.encoded import Publication

    for settings in streams:
        for url in settings.outputs.addresses:
            Publication(url)
    settings = streams[-1]
    source = open_live_source(settings.source)
    raise SourceLostError(f"{source.name} gives no picture", found=SourceFault(f"open {settings.source}").reason)


def test_a_live_source_that_is_not_there(tiny_engine: Path, capfd) -> None:
    address = f"rtsp://127.0.0.1:9/user=admin_password={SECRET}_channel=1_stream=0.sdp?real_stream"
    assert run(["live", str(tiny_engine), address, "--json"], debug=True) == 5
    output, errors = capfd.readouterr()
    assert SECRET not in output + errors
    assert json.loads(output)["what"] == "rtsp://127.0.0.1:9/***?*** gives no picture"


@pytest.mark.parametrize("key", ["source", "send-to", "sauce", "engine", "max-frames"])
@pytest.mark.parametrize("value", ['"{}"', '["{}"]', '"{}'])
def test_a_configuration_file_that_is_wrong(tiny_engine: Path, tmp_path: Path, capfd, key: str, value: str) -> None:
    address = f"xyz://admin:{SECRET}@10.0.0.5/x"
    (tmp_path / "live.toml").write_text(f"{key} = {value.format(address)}")
    words = ["live", str(tiny_engine), "--config", str(tmp_path / "live.toml"), "--seconds", "0.1", "--json"]
    assert run(words if key == "source" else [*words, "synthetic:64x48"], debug=True) in (0, 2, 5)
    output, errors = capfd.readouterr()
    assert SECRET not in output + errors


@pytest.mark.parametrize("lines", [JsonLines(), PlainLines("%(message)s")], ids=["json", "plain"])
def test_the_log_shows_nothing(lines: logging.Formatter) -> None:
    address = f"rtsp://admin:{SECRET}@10.0.0.5/live?x={SECRET}"
    try:
        raise OSError(address)
    except OSError as error:
        failure = (OSError, error, error.__traceback__)
    shown = lines.format(logging.LogRecord("edgeseg", logging.INFO, "", 0, "open %s", (address,), failure))
    assert SECRET not in shown and "rtsp://***@10.0.0.5/live?***" in shown and "Traceback" in shown


def test_the_status_and_its_faults_show_nothing() -> None:
    address = f"http://127.0.0.1:9/videostream.cgi?loginuse=admin&loginpas={SECRET}"
    source = open_live_source(address, SourceOptions(first_attempts=1))
    with pytest.raises(SourceLostError) as caught:
        next(iter(source.frames()))
    assert SECRET not in source.name + str(source.status()) + str(caught.value)


def test_pieces_of_an_address_are_hidden_too() -> None:
    words = ["--negatives", "http://u:GEHEIM@10.0.0.5:9/door/video?a=GEHEIM2"]
    assert without_secrets_of("'9/door/video?a=GEHEIM2' is no range", words) == "'9/***/video***' is no range"
    assert without_secrets_of("ls http:/u:GEHEIM@10.0.0.5", words) == "ls http:/***@10.0.0.5"
    assert without_secrets_of("no address here", ["run", "x"]) == "no address here"
