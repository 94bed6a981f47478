"""Where pushers and queues say what happens to them."""

from __future__ import annotations

import logging
from typing import Final

KQ_LOG: Final = logging.getLogger("asyncq.kq")
