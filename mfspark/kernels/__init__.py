"""Arrays only: every formula of mfspark lives here and is tested without a JVM."""
