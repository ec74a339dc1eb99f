"""tatamu inside a program that was not written for it."""

from tatamu.adopt.layers import Conversion, convert, revert
from tatamu.adopt.switch import Status, disable, enable, enabled, status
from tatamu.adopt.warming import warmup

__all__ = ["Conversion", "Status", "convert", "disable", "enable", "enabled", "revert", "status", "warmup"]
