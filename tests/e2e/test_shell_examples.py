"""A three-step workflow from a shell: create a video, poll until it is done, download it.

The bodies have the argument names `backend` and `args`, and the answers are read by jq paths,
as people write them for gateways like this one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.driver import yaml_config
from tests.support.fakes import FAKE_SERVER
from tests.support.patience import PATIENCE

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed"),
]

SCRIPT = r"""
set -eu
coproc GATEWAY { "$PYTHON" -m mcpgw serve --mode stdio -c gateway.yaml 2>gateway.log; }
ask() { printf '%s\n' "$1" >&"${GATEWAY[1]}"; IFS= read -r ANSWER <&"${GATEWAY[0]}"; }
ask '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25",
"capabilities":{},"clientInfo":{"name":"shell","version":"1"}}}'
"""
WORKFLOW = r"""
# 1. Create the video
ask '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"gateway_invoke","arguments":{"backend":"capabilities","tool":"video_agent_create","args":{"prompt":"A presenter explaining our product launch"}}}}'
VIDEO_ID=$(printf '%s' "$ANSWER" | jq -r '.result.content[0].text | fromjson | (.data.video_id // .video_id)')
# 2. Poll until completed and fetch the URL
while true; do
  ask "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\":\"gateway_invoke\",\"arguments\":{\"backend\":\"capabilities\",\"tool\":\"video_get\",\"args\":{\"video_id\":\"$VIDEO_ID\"}}}}"
  STATUS=$(printf '%s' "$ANSWER" | jq -r '.result.content[0].text | fromjson | (.data.status // .status)')
  if [ "$STATUS" = "completed" ]; then
    VIDEO_URL=$(printf '%s' "$ANSWER" | jq -r '.result.content[0].text | fromjson | (.data.video_url // .video_url)')
    break
  fi
done
# 3. Download it
ask "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/call\",\"params\":{\"name\":\"gateway_invoke\",\"arguments\":{\"backend\":\"capabilities\",\"tool\":\"video_download\",\"args\":{\"url\":\"$VIDEO_URL\"}}}}"
printf '%s' "$ANSWER" | jq -r '.result.content[0].text | fromjson | .data' | base64 --decode > explainer.mp4
echo "$VIDEO_ID $STATUS $VIDEO_URL"
exec {GATEWAY[1]}>&-
wait "$GATEWAY_PID"
"""


def test_create_poll_and_download_a_video(tmp_path: Path) -> None:
    """The three steps work with `backend` and `args`, and the file arrives whole."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    server = [sys.executable, str(FAKE_SERVER.with_name("video_server.py"))]
    (tmp_path / "gateway.yaml").write_text(yaml_config({"capabilities": server}))
    script = SCRIPT.replace('",\n"capabilities', '","capabilities') + WORKFLOW
    done = subprocess.run(
        [bash, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHON": sys.executable, "MCP_GATEWAY_HOME": str(tmp_path / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    log = tmp_path / "gateway.log"
    assert 0 == done.returncode, done.stderr + (log.read_text() if log.exists() else "")
    assert "v-123 completed https://videos.invalid/v-123.mp4\n" == done.stdout
    assert b"ftypmp42" in (tmp_path / "explainer.mp4").read_bytes()
    assert 268 == (tmp_path / "explainer.mp4").stat().st_size
