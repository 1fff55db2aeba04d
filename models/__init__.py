"""What an event, a pane, a user's and a video's metrics are: pure, without Kafka and Faust."""
