"""STOMP 1.2 (https://stomp.github.io/stomp-specification-1.2.html) for rmqgateway."""
