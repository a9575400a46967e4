"""The services of one machine: a real Kafka, a real ClickHouse engine behind HTTP, and what supervises them."""
