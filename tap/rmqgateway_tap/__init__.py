"""What ``twistd rmqgateway`` runs: its options and the wiring of the process. No logic is here."""

from rmqgateway_tap.options import Options
from rmqgateway_tap.wiring import makeService

__all__ = ["Options", "makeService"]
