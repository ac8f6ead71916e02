"""h2spec: what HTTP/2 demands of a server. It knows nothing of gRPC, and takes our answers to
its requests, which are none of gRPC's, for replies."""
import re
import subprocess
import xml.etree.ElementTree as xml

from conftest import ROOT
from packages import go_program
from rpc_peer import AGENT
from test_rpc import serve  # noqa: F401 (a fixture)

# By section, what it calls a failure, and why it is none.
EXPECTED = {
    # Its replies must have a body, and an answer of 415 has none.
    ("generic/2", "Sends a WINDOW_UPDATE frame on half-closed (remote) stream"),
    ("generic/2", "Sends a PRIORITY frame on half-closed (remote) stream"),
    # nghttp2 passes over headers of a stream that may have been reset: trailers may be on
    # their way. Its own server answers so too.
    ("http2/5.1.1", "Sends stream identifier that is numerically smaller than previous"),
    # They are answered before they are too many.
    ("http2/5.1.2",
     "Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded"),
}
# Here it sends good headers first and a bad frame after. Where our answer of 415 and
# RST_STREAM come in between, the frame is one for a stream that is over, to be passed over.
AFTER_THE_ANSWER = {"http2/5.1", "http2/6.1", "http2/6.9", "http2/6.9.1", "http2/8.1",
                    "http2/8.1.2.1", "http2/8.1.2.6"}


def test_http2_is_spoken_as_its_specification_demands(serve, tmp_path):  # noqa: F811
    server = serve()
    host, port = server.address.split(":")
    report = tmp_path / "report.xml"
    h2spec = go_program("h2spec", ROOT / "tests/h2spec",
                        "github.com/summerwind/h2spec/cmd/h2spec")
    subprocess.run([h2spec, "--host", host, "--port", port, "--path", AGENT + "ExecuteTask",
                    "--timeout", "2", "--junit-report", report], stdout=subprocess.DEVNULL)
    # What it cites of a reply may be any bytes.
    text = re.sub("[^\t\n\r -\uffff]", "?", report.read_text(errors="replace"))
    cases = xml.fromstring(text).findall(".//testcase")
    failed = {(case.get("package"), case.get("classname")) for case in cases
              if case.find("error") is not None or case.find("failure") is not None}
    assert len(cases) > 140
    assert EXPECTED == {case for case in failed if case[0] not in AFTER_THE_ANSWER}
    assert len(failed) < len(EXPECTED) + 8
    server.is_well()
