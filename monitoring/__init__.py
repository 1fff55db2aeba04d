"""What a worker tells about itself: Prometheus metrics, and the rules and boards made of them."""
