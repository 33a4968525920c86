"""The front-end of browsers: every command over one WebSocket, as frames of JSON or MessagePack.

``frames`` says what there is to say, ``codec`` how it is written, ``convert`` what it means in commands; ``connection`` is
one client, ``consuming`` its subscriptions, ``asking`` its requests that wait for a reply, ``sent_ids`` what makes a send
that is repeated be stored once. ``pages`` serves the browser's module, an example and the AsyncAPI document.
"""

from __future__ import annotations

__all__: list[str] = []
