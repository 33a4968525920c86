"""``--help-front-ends`` and ``--print-config``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

import msgspec
from twisted.python.usage import UsageError

from rmqgateway.config_help import describe, help_of, is_secret, spell
from rmqgateway.loader import load_front_end

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rmqgateway.config import Configuration

__all__ = ["show_configuration", "show_front_ends"]


def show_front_ends(makers: Mapping[str, Any], file: TextIO) -> None:
    """List every installed front-end: what it is for, whether it is enabled, its settings."""
    for name, maker in makers.items():
        state = (
            "enabled" if maker.enabled_by_default else f"not enabled; --set front_ends.{name}.enabled=true"
        )
        file.write(f"{name}: {maker.description} [{state}]\n")
        try:
            struct = load_front_end(makers, name).settings
        except UsageError as error:
            file.write(f"  cannot be enabled: {error}\n")
            continue
        helps = help_of(struct)
        for field in msgspec.structs.fields(struct):
            default = "******" if is_secret(field.name, field.type) else spell(_default(field))
            file.write(f"  --set front_ends.{name}.{field.name}={default}  ({describe(field.type)})\n")
            if field.name in helps:
                file.write(f"      {helps[field.name]}\n")
    if not makers:
        file.write("no front-end is installed\n")


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else ""


def show_configuration(configuration: Configuration, file: TextIO) -> None:
    """Write every setting as TOML, each with where it comes from; secrets are masked."""
    last = ""
    for section, key, value, place in configuration.effective():
        if section != last:
            file.write(f"\n[{section}]\n")
            last = section
        file.write(f"{key} = {value}  # {place}\n")
