"""Run the service: `python -m order_service -f etc/order.yaml`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from asyncq.errors import ConfigError
from order_service.services import group_of
from order_service.settings import read

HERE = Path(__file__).parent


def main() -> int:
    """Run until it is told to leave."""
    parser = argparse.ArgumentParser(prog="order_service")
    parser.add_argument("-f", "--file", default=str(HERE / "etc" / "order.yaml"), help="the settings")
    try:
        group = group_of(read(parser.parse_args().file))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    logging.getLogger("aiokafka").setLevel(logging.WARNING)  # it tells each step of joining a group
    group.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
