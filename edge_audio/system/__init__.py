"""What lies below: the CPU, memory, the cache, and LiteRT, which nothing else imports."""
