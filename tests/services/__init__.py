"""Real beanstalkd, Kafka and Redis, and Go's go-queue on the other side. See README.md here."""
