"""The HTTP front-end: RocketMQ as REST in JSON under ``/v1``, for whoever has curl and no RocketMQ client.

``frontend`` announces it; ``operations`` is the one table of what is served, from which requests are routed and
``/openapi.json`` is made; ``call`` is one request under way. Handlers, by subject: ``sending``, ``receiving``, ``pulling``,
``transactions``, ``replies``, ``streams``, ``pages``. ``codec_*`` and ``convert_*`` read and write what travels, without
I/O; ``problems`` has a status and RocketMQ's word for each error.
"""

from __future__ import annotations
