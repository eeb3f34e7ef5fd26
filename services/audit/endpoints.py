"""The small HTTP server of an audit that goes on for ever: /metrics for Prometheus, /livez for whoever runs it."""

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest


class Server:
    """Listens from `start` to `stop`. port: 0 until it has started if any free one was asked for."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        self.host, self.port = host, port
        self._registry = registry
        routes = web.Application()
        routes.add_routes([web.get("/metrics", self._metrics), web.get("/livez", self._livez)])
        self._runner = web.AppRunner(routes, access_log=None)

    async def start(self) -> None:
        """OSError if the port is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _livez(self, request: web.Request) -> web.Response:
        return web.json_response({"alive": True})
