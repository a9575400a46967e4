"""What the parties agreed: Avro records, the topic catalogue, the wire format, the sealing of pages."""
