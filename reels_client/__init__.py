"""Client of a Reels Analytics service: reads many users, videos or creators per call.

Needs aiohttp, and pyarrow for the methods that return tables.
"""

from reels_client.blocking import BlockingClient
from reels_client.client import Client
from reels_client.errors import ReelsError, Unavailable

__all__ = ["BlockingClient", "Client", "ReelsError", "Unavailable"]
