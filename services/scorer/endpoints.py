"""The scorer's small HTTP server: /metrics for Prometheus, /livez and /readyz for whoever runs it."""

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from services.scorer.engine.worker import Worker


class Server:
    """Listens from `start` to `stop`. port: 0 until it has started if any free one was asked for."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, worker: Worker) -> None:
        self.host, self.port = host, port
        self._registry, self._worker = registry, worker
        routes = web.Application()
        routes.add_routes(
            [web.get("/metrics", self._metrics), web.get("/livez", self._livez), web.get("/readyz", self._readyz)]
        )
        self._runner = web.AppRunner(routes, access_log=None)

    async def start(self) -> None:
        """OSError if the port is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _livez(self, request: web.Request) -> web.Response:
        return web.json_response({"alive": self._worker.alive}, status=200 if self._worker.alive else 503)

    async def _readyz(self, request: web.Request) -> web.Response:
        """Ready once every owned partition is restored and has caught up; says where each stands."""
        ready = self._worker.ready
        detail = {"ready": ready, "partitions": self._worker.detail()}
        return web.json_response(detail, status=200 if ready else 503)
