"""What mfspark asks of the machine: Java, Spark, memory, durable files."""
