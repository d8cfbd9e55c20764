"""The Grafana dashboards, written in Python: `python -m grafana` writes grafana/dashboards/*.json."""
