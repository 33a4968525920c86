"""The MQ HTTP front-end: the wire of the free ``mq-http-sdk`` family, XML under ``/topics/{topic}/messages``.

``frontend`` announces it and its routes; ``requests`` answers one request; ``codec`` reads and writes the XML;
``convert_parameters``, ``convert_publish``, ``convert_messages`` and ``convert_handles`` translate to commands and from
replies without I/O; ``credentials`` finds what was signed; ``checks`` keeps half messages whose producers are asked until
somebody fetches them; ``errors`` holds status and code for each error.
"""

from __future__ import annotations
