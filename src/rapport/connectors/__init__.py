"""What a connector process is made of here: who wakes it, what it knows from the log, what it signs in with."""
