"""The Remoting front-end: RocketMQ's own protocol, for official Java and Go clients, mqadmin and whatever speaks as they do.

``frontend`` announces it and recognises its connections; ``protocol`` owns one connection; ``table`` says for each request
code which command it is, by ``convert_*``, which read requests and write responses without I/O; ``errors`` holds the
response code for each error; ``push`` turns events of the backend into requests to the client.
"""

from __future__ import annotations
