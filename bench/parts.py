"""Everything that is measured, in its order."""

from __future__ import annotations

from bench import rows, rows_grpc, rows_grpc_cluster, rows_http, rows_passthrough

__all__ = ["PARTS"]

PARTS = (*rows.PARTS, *rows_grpc.PARTS, *rows_http.PARTS, *rows_passthrough.PARTS, *rows_grpc_cluster.PARTS)
