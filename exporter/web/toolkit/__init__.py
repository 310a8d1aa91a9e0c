"""Who may speak with the HTTP side, and how: TLS, passwords, headers, a limit on requests.

All of it is said in the file of `--web.config.file`, in the format that Prometheus, its Alertmanager
and its exporters share, so that one file serves them all.
"""

from exporter.web.toolkit.config_file import load
from exporter.web.toolkit.guard import Guarded
from exporter.web.toolkit.security import WebSecurity
from exporter.web.toolkit.settings import RateLimit, WebConfig

__all__ = ["Guarded", "RateLimit", "WebConfig", "WebSecurity", "load"]
