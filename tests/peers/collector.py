"""An OpenTelemetry collector on loopback: takes OTLP over HTTP and keeps what it gets.

with Collector() as collector:
    run(environment={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint})
collector.spans, collector.metrics, collector.events
"""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """Keeps what arrives; with `hang` it accepts everything and never answers."""

    def __init__(self, *, hang: bool = False) -> None:
        self.bodies: dict[str, list[bytes]] = {}
        self.ended = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.bodies.setdefault(self.path, []).append(body)
                if hang:
                    collector.ended.wait()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def spans(self) -> list[tuple[str, dict[str, Any]]]:
        """Name and attributes of every span."""
        found = []
        for body in self.bodies.get("/v1/traces", []):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found += [(span.name, _plain(span.attributes)) for span in scope.spans]
        return found

    @property
    def resources(self) -> list[dict[str, Any]]:
        """What the traces say of where they come from."""
        bodies = self.bodies.get("/v1/traces", [])
        requests = [ExportTraceServiceRequest.FromString(body) for body in bodies]
        return [_plain(spans.resource.attributes) for request in requests for spans in request.resource_spans]

    @property
    def metrics(self) -> set[str]:
        """The name of every metric."""
        requests = [ExportMetricsServiceRequest.FromString(body) for body in self.bodies.get("/v1/metrics", [])]
        return {
            metric.name
            for request in requests
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    @property
    def events(self) -> list[str]:
        """The name of every event."""
        requests = [ExportLogsServiceRequest.FromString(body) for body in self.bodies.get("/v1/logs", [])]
        return [
            record.event_name
            for request in requests
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


def _plain(attributes: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value") or "string_value") for item in attributes}
