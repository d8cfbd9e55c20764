"""Pictures of the dashboards, drawn from their own queries: `make pictures`.

Made-up traffic (`exchanges`, `traffic`) goes through a real collector into a real Prometheus
(`history`), the dashboards' queries are asked of it, and matplotlib draws the answers where
Grafana would (`units`, `drawing`). Grafana itself has no part in it.
"""
