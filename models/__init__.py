"""Events, panes, and metrics of users, videos and creators: pure, without Kafka or Faust."""
