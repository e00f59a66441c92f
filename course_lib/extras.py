"""What some commands need besides what every installation has, and the call that brings it, in a clone and outside."""

import json
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

CLONE = Path(__file__).parents[1]
NEEDS = {
    "lab": "notebooks",
    "run": "notebooks",
    "build": "notebooks",
    "links": "notebooks",
    "site": "notebooks,site",
    "certificate": "notebooks",
    "release": "notebooks,classroom",
    "grade": "notebooks,classroom",
    "export": "notebooks,classroom",
}


def how_to_install(extras: str) -> str:
    """The call of pip that adds extras, such as "notebooks,site", to the course that is installed here.

    The course is on no package index, so the call names where it came from: the clone, or what pip noted when it
    installed a folder, a file or an address.

    Source: Python Packaging User Guide, "Recording the Direct URL Origin of installed distributions".
    """
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    return f"{python} -m pip install {_what(extras)}"


def _what(extras: str) -> str:
    if (CLONE / "pyproject.toml").is_file():
        return f'-c "{CLONE / "requirements.lock"}" -e "{CLONE}[{extras}]"'
    origin = json.loads(metadata.distribution("course-lib").read_text("direct_url.json") or "{}")
    url = origin.get("url", "")
    if "vcs_info" in origin:
        url = f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    if url.startswith("file:"):
        return f'"{url2pathname(urlsplit(url).path)}[{extras}]"'
    return f'"course-lib[{extras}] @ {url}"' if url else f'"FILE[{extras}]", where FILE is the course\'s zip or wheel'
