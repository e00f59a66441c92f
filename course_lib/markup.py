"""Plain text as HTML."""

import html
import re


def with_code(text: str) -> str:
    """A text as HTML, what stands between backticks as code.

    >>> with_code("is `a < b`?")
    'is <code>a &lt; b</code>?'
    """
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
