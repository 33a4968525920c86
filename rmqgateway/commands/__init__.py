"""The internal command model: everything that any client of any protocol can ask for.

Commands, replies and events are frozen values that can be serialised. A command's name is the one word for the operation
in every layer: wire tables, backends, permissions, metrics, logs.
"""

from __future__ import annotations

from rmqgateway.commands.administering import *  # noqa: F403
from rmqgateway.commands.base import *  # noqa: F403
from rmqgateway.commands.clients import *  # noqa: F403
from rmqgateway.commands.lite import *  # noqa: F403
from rmqgateway.commands.maintaining import *  # noqa: F403
from rmqgateway.commands.popping import *  # noqa: F403
from rmqgateway.commands.producing import *  # noqa: F403
from rmqgateway.commands.pulling import *  # noqa: F403
from rmqgateway.commands.users import *  # noqa: F403
