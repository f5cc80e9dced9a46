"""`fly.toml` to frozen values, with the checks that flyctl does not make."""

from flyroutes.appconfig.address_check import check_ips
from flyroutes.appconfig.config import AppConfig, load

__all__ = ["AppConfig", "check_ips", "load"]
