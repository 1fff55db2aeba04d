"""What a worker answers over HTTP: users, videos, its health, its metrics and the dashboard."""
