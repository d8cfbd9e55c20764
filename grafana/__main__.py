"""Write the dashboards: `python -m grafana [FOLDER]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.consumers import consumers
from grafana.health import health
from grafana.models import models
from grafana.overview import overview

FOLDER = Path(__file__).parent / "dashboards"


def main(folder: Path) -> None:
    """Write every dashboard as JSON, in a form that makes small differences of small changes."""
    for dashboard in (overview(), models(), consumers(), health()):
        text = json.dumps(dashboard, cls=JSONEncoder, sort_keys=True, indent=2)
        (folder / f"{dashboard.uid.removeprefix('llmtoken-')}.json").write_text(f"{text}\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
