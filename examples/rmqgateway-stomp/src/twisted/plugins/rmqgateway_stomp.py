"""Announces the STOMP front-end; imports nothing but strings."""

from rmqgateway.frontend import FrontEndMaker

stomp = FrontEndMaker("stomp", "STOMP 1.2.", "rmqgateway_stomp.frontend", "StompFrontEnd")
