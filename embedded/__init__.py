"""A real Apache Kafka on this machine, without Docker, Java or Maven installed.

``EmbeddedKafka`` runs one node (broker and controller) as a child process::

    with EmbeddedKafka() as kafka:
        print(kafka.bootstrap)  # 127.0.0.1:PORT
"""

from embedded.broker import EmbeddedKafka
from embedded.errors import EmbeddedKafkaError

__all__ = ["EmbeddedKafka", "EmbeddedKafkaError"]
